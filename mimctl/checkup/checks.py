"""The checks, each a pure function on the gathered facts; those on torch and the operators stand beside."""

from __future__ import annotations

import mimctl
from mimctl.checkup.commands import installer_call
from mimctl.checkup.glance import other_versions
from mimctl.checkup.model import Check, Facts, Fix
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, counted
from mimctl.installer.transaction.change import repair_command
from mimctl.plugin.discover import BrokenPlugin
from mimctl.resolution.names import CV2_NAMES, OPENCV
from mimctl.transfer import redact


def target(facts: Facts) -> Check:
    """The interpreter works and is new enough: it has answered, or there would be no facts."""
    env = facts.env
    return Check(name="target", status="ok", summary=f"python {env.python.value}, {env.target.python}")


def own_version(facts: Facts) -> Check:
    """The target has the same mimctl as the command line, as a run's process is the target's."""
    there, here = facts.mimctl_there, mimctl.__version__
    python = facts.env.target.python
    if there is None:
        return Check(
            name="mimctl",
            status="fail" if facts.plugins else "warn",
            summary="the target has no mimctl",
            code="engine-missing",
            causes=(f"the command line is mimctl {here}; a run's process needs its engine in `{python}`",),
            hints=(f"a toolbox brings it: `mimctl install det --python {python}`",),
        )
    if there != here:
        return Check(
            name="mimctl",
            status="warn",
            summary=f"the target has mimctl {there}, the command line is {here}",
            code="spec-version",
            causes=("they may not understand each other",),
            hints=(
                f"bring both to one version: `mimctl install det --upgrade --python {python}`,"
                " and the command line the way it was installed",
            ),
        )
    return Check(name="mimctl", status="ok", summary=f"{there}, the same in the target as here")


def versions(facts: Facts) -> Check | None:
    """Engine, operators and toolboxes are of one version, as they are released together."""
    others = other_versions(facts.env.distributions)
    if not others:
        return None
    engine = facts.env.distributions["mimctl"]
    return Check(
        name="versions",
        status="fail",
        summary=f"{counted(len(others), 'distribution is', 'distributions are')} not of the engine's version",
        code="version-mismatch",
        causes=(f"the engine is mimctl {engine.version}", *(f"{each.name} is {each.version}" for each in others)),
        hints=("bring all to one: `mimctl upgrade --all`",),
        fix=Fix(upgrades=True),
    )


def toolboxes(facts: Facts) -> Check | None:
    """Every installed toolbox has a manifest that can be read, and a name of its own."""
    broken = [each for each in facts.plugins if isinstance(each, BrokenPlugin)]
    if broken:
        again = tuple(each for each in broken if each.code == "broken-plugin")
        own = (hint for each in broken for hint in each.hints)
        return Check(
            name="toolboxes",
            status="fail",
            summary=f"{counted(len(broken), 'toolbox', 'toolboxes')} cannot be used",
            code=broken[0].code,
            causes=tuple(f"{each.name}: {each.reason}" for each in broken),
            hints=tuple(dict.fromkeys([*own, *(f"install it again: `mimctl install {each.name}`" for each in again)])),
            fix=Fix(reinstall=tuple(each.distribution for each in again)) if again else None,
        )
    if not facts.plugins:
        return None
    return Check(
        name="toolboxes", status="ok", summary=", ".join(f"{each.name} {each.version}" for each in facts.plugins)
    )


def requirements(facts: Facts) -> Check | None:
    """What our distributions require is there, in the right versions."""
    own = sorted(name for name in facts.env.distributions if name.startswith("mimctl"))
    if not own:
        return None
    if not facts.unmet:
        return Check(name="requirements", status="ok", summary=f"all requirements of {', '.join(own)} are met")
    toolbox = next((each.name for each in facts.plugins), "mimctl")
    return Check(
        name="requirements",
        status="fail",
        summary=f"{counted(len(facts.unmet), 'requirement is', 'requirements are')} not met",
        code="unmet-requirement",
        causes=facts.unmet,
        hints=(f"bring what is missing: `mimctl install {toolbox}`",),
        fix=Fix(install=tuple(own)),
    )


def opencv(facts: Facts) -> Check | None:
    """OpenCV is there once: its distributions write into one and the same package."""
    env = facts.env
    there = sorted(name for name in CV2_NAMES if name in env.distributions)
    if len(there) > 1:
        return _several_opencvs(facts, there)
    name = there[0] if there else OPENCV
    if env.cv2.value is None and (there or facts.plugins):
        return Check(
            name="opencv",
            status="fail",
            summary=f"{name} is installed, its module `cv2` is gone" if there else "OpenCV is not installed",
            code="opencv",
            causes=("the engine reads images with it", env.cv2.source),
            hints=("bring it: `mimctl doctor --fix`", f"or yourself: {_opencv_again(env, name)}"),
            fix=Fix(reinstall=(name,)),
        )
    if env.cv2.value is None:
        return None
    words = f"{name} {env.distributions[name].version}" if there else str(env.cv2.value)
    return Check(name="opencv", status="ok", summary=words)


def _several_opencvs(facts: Facts, there: list[str]) -> Check:
    env, needed = facts.env, facts.needs_opencv
    keep = needed[0] if needed else OPENCV if OPENCV in there else there[0]
    others = tuple(name for name in there if name != keep)
    uninstall = f"`{installer_call(env, 'uninstall')} {' '.join(there)}`"
    hints: tuple[str, ...] = (
        f"keep {keep}: `mimctl doctor --fix`",
        f"or yourself: {uninstall}, then {_opencv_again(env, keep)}",
    )
    if len(needed) > 1:
        hints = (f"{' and '.join(needed)} are each required by something: uninstall what needs one of them",)
    return Check(
        name="opencv",
        status="warn",
        summary=f"OpenCV is installed {len(there)} times",
        code="opencv",
        causes=(f"{', '.join(there)} share the package `cv2`: which of them is imported is chance",),
        hints=hints,
        fix=Fix(remove=others, reinstall=(keep,)) if len(needed) < 2 else None,
    )


def _opencv_again(env: Environment, name: str) -> str:
    return f"`{installer_call(env, 'install')} --force-reinstall --no-deps {name}`"


def hidden_packages(facts: Facts) -> Check | None:
    """No folder that comes earlier on the module search path hides a package that is installed."""
    if not facts.hidden:
        return None
    return Check(
        name="hidden-packages",
        status="warn",
        summary=f"{counted(len(facts.hidden), 'installed package is', 'installed packages are')} hidden",
        code="hidden-package",
        causes=tuple(f"`{module}`: {hiding} comes before {installed}" for module, hiding, installed in facts.hidden),
        hints=("work in another folder, or take the folder out of PYTHONPATH",),
    )


def killed_install(facts: Facts) -> Check | None:
    """No installation was killed half-way."""
    left = facts.unfinished
    if isinstance(left, MimctlError):
        return Check(
            name="killed-install",
            status="fail",
            summary=left.message,
            code=left.code,
            causes=left.causes,
            hints=left.hints,
        )
    if left is None or left.is_alive:
        return None
    return Check(
        name="killed-install",
        status="fail",
        summary="an installation was killed half-way",
        code="killed-install",
        causes=(f"`{left.what}` by {left.owner}", f"its journal is {left.journal}"),
        hints=(f"bring the environment back to what it was: `{repair_command(facts.env)}`",),
    )


def index(facts: Facts) -> Check:
    """An index is named and can be read."""
    problem = facts.index_problem
    if problem is None and facts.index is not None:
        where = ", ".join(redact(address) for address in facts.index.addresses)
        return Check(name="index", status="ok", summary=f"{counted(len(facts.index.files), 'wheel')}, {where}")
    assert problem is not None
    seen = ("what was last seen of it is used",) if facts.index is not None else ()
    return Check(
        name="index",
        status="warn",
        summary=problem.message,
        code=problem.code,
        causes=(*problem.causes, *(seen or ("what is compared with an index is left out",))),
        hints=problem.hints,
    )
