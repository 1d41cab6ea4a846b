"""The checks, each a pure function on the gathered facts; those on the operators stand in `operators`."""

from __future__ import annotations

from dataclasses import replace

import mimctl
from mimctl.checkup.glance import OPS, other_versions
from mimctl.checkup.model import Check, Facts, Fix
from mimctl.environment.installed import Fact, Torch, release_of
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.transaction.change import repair_command
from mimctl.plugin.discover import BrokenPlugin
from mimctl.resolution.names import CV2_NAMES, OPENCV
from mimctl.selection.choose import newer_than_verified, public_version
from mimctl.selection.cuda import MIN_DRIVERS
from mimctl.selection.torch_build import TorchBuild, choose_torch
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
        summary=f"{_count(len(others), 'distribution is', 'distributions are')} not of the engine's version",
        code="version-mismatch",
        causes=(f"the engine is mimctl {engine.version}", *(f"{each.name} is {each.version}" for each in others)),
        hints=("bring all to one: `mimctl upgrade --all`",),
        fix=Fix(upgrades=True),
    )


def torch_there(facts: Facts) -> Check:
    """There is one torch, and its files say which."""
    env = facts.env
    torch, recorded = env.torch.value, env.distributions.get("torch")
    if torch is None and recorded is not None:
        return Check(
            name="torch",
            status="fail",
            summary=f"torch {recorded.version} is installed and cannot be read",
            code="torch-unreadable",
            causes=(env.torch.source, f"{recorded.path} says it is there"),
            hints=(f"install it again: {_torch_again(facts, recorded.version)}",),
        )
    if torch is None:
        needs_it = [name for name in env.distributions if name.startswith("mimctl-")]
        return Check(
            name="torch",
            status="fail" if needs_it else "warn",
            summary="torch is not installed",
            code="torch-missing",
            causes=(f"{', '.join(sorted(needs_it))} need it",) if needs_it else (env.torch.source,),
            hints=("a toolbox brings the build for this machine: `mimctl install det`",),
        )
    if recorded is not None and not _is_same_version(recorded.version, torch.version):
        return Check(
            name="torch",
            status="fail",
            summary=f"torch says it is {torch.version}, {recorded.version} was installed",
            code="torch-unreadable",
            causes=(f"{env.torch.source} and {recorded.path} differ: files of two versions may be mixed",),
            hints=(f"install one anew: {_torch_again(facts, recorded.version)}",),
        )
    return Check(name="torch", status="ok", summary=f"{torch.version}, {torch.path}")


def torch_replaced(facts: Facts) -> Check | None:
    """torch is the one that was there when mimctl last installed something."""
    if facts.torch_since is None:
        return None
    return Check(
        name="torch-replaced",
        status="warn",
        summary="torch was replaced since mimctl's last installation",
        code="torch-replaced",
        causes=(facts.torch_since,),
        hints=("take the operators that suit it, and note that it is meant: `mimctl doctor --fix`",),
        fix=Fix(install=(OPS,)) if OPS in facts.env.distributions else Fix(),
    )


def _is_same_version(recorded: str, said: str) -> bool:
    """Return whether two versions agree; a label that only one of them has is no difference."""
    return recorded == said or (
        public_version(recorded) == public_version(said) and not ("+" in recorded and "+" in said)
    )


def accelerator(facts: Facts) -> Check | None:
    """The build of torch is one that this machine's driver can run, and uses the GPU that is there."""
    env = facts.env
    torch, found = env.torch.value, env.accelerator.value
    if torch is None:
        return None
    if torch.backend == "cpu":
        if found.kind in _OTHER_MAKERS:
            return _idle_gpu_of_another_maker(env, torch)
        return _idle_gpu(facts, torch) if found.kind == "cuda" else _agree(torch, env)
    wanted = _OTHER_MAKERS.get(torch.backend, ("NVIDIA driver", ""))[0]
    if found.kind != torch.backend:
        return Check(
            name="driver",
            status="warn",
            summary=f"torch {torch.version} computes on a GPU, and no {wanted} was found",
            code="no-driver",
            causes=(env.accelerator.source,),
            hints=("usual on a login node: jobs on a machine with GPUs use them", "elsewhere it computes on the CPU"),
        )
    floor = MIN_DRIVERS.get(torch.cuda_major or 0)
    if found.driver and floor and release_of(found.driver) < release_of(floor):
        return Check(
            name="driver",
            status="fail",
            summary=f"NVIDIA driver {found.driver} is too old for torch {torch.version}",
            code="driver-too-old",
            causes=(f"CUDA {torch.cuda} needs NVIDIA driver >= {floor}", f"found in {env.accelerator.source}"),
            hints=("update the driver", *_other_torch(facts, torch)),
        )
    return _agree(torch, env)


def _agree(torch: Torch, env: Environment) -> Check:
    found = env.accelerator.value
    has = f"{'NVIDIA driver' if found.kind == 'cuda' else found.kind} {found.driver or ''}".strip()
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "the CPU"
    build = "XPU" if torch.backend == "xpu" else build
    gpus = f", {len(env.gpus.value)} GPUs" if len(env.gpus.value) > 1 else ""
    return Check(
        name="driver",
        status="ok",
        summary=f"torch is built for {build}; {'no GPU driver' if found.kind == 'none' else has + gpus}",
    )


_OTHER_MAKERS = {"rocm": ("ROCm", "AMD"), "xpu": ("Intel GPU", "Intel")}


def _idle_gpu_of_another_maker(env: Environment, torch: Torch) -> Check:
    found = env.accelerator.value
    name = "ROCm" if found.kind == "rocm" else "XPU"
    return Check(
        name="driver",
        status="warn",
        summary=f"torch {torch.version} computes on the CPU only, and this machine has a GPU",
        code="idle-gpu",
        causes=(f"a GPU of {_OTHER_MAKERS[found.kind][1]}'s ({env.accelerator.source})",),
        hints=(f"install torch's {name} build as its own site describes; mimctl chooses none for it",),
    )


def _idle_gpu(facts: Facts, torch: Torch) -> Check:
    env = facts.env
    hints = _other_torch(facts, torch)
    if not hints:  # too old for any build that torch offers
        return _agree(torch, env)
    return Check(
        name="driver",
        status="warn",
        summary=f"torch {torch.version} computes on the CPU only, and this machine has a GPU",
        code="idle-gpu",
        causes=(f"NVIDIA driver {env.accelerator.value.driver} ({env.accelerator.source})",),
        hints=hints,
    )


def _other_torch(facts: Facts, torch: Torch) -> tuple[str, ...]:
    """Return how to get the build of the same torch that suits this machine; mimctl itself never replaces torch."""
    build = _usual_build(facts.env, public_version(torch.version))
    if build is None or build.tag in (None, "cpu", torch.label):
        return ()
    return (
        f"take the build for this machine: {_torch_again(facts, build.full_version)}",
        "then the operators that go with it: `mimctl install mimctl-ops`",
    )


def _usual_build(env: Environment, version: str) -> TorchBuild | None:
    without = replace(env, torch=Fact(value=None, source=env.torch.source))
    try:
        return choose_torch(without, "auto", verified=version)
    except MimctlError:
        return None


def torch_verified(facts: Facts) -> Check | None:
    """The torch is one that the index's wheels were verified with, or older."""
    torch, verified = facts.env.torch.value, facts.index.torch_verified if facts.index else None
    if torch is None or verified is None:
        return None
    warning = newer_than_verified(facts.env, verified)
    if warning is None:
        return Check(name="verified", status="ok", summary=f"the index was verified with torch up to {verified}")
    return Check(
        name="verified",
        status="warn",
        summary=warning,
        code="torch-not-verified",
        causes=("it is likely to work: compiled operators use an ABI that later versions of torch keep",),
        hints=("try it: `mimctl infer` on a few images, or take a newer mimctl when there is one",),
    )


def toolboxes(facts: Facts) -> Check | None:
    """Every installed toolbox has a manifest that can be read, and a name of its own."""
    broken = [each for each in facts.plugins if isinstance(each, BrokenPlugin)]
    if broken:
        return Check(
            name="toolboxes",
            status="fail",
            summary=f"{_count(len(broken), 'toolbox', 'toolboxes')} cannot be used",
            code="broken-plugin",
            causes=tuple(f"{each.name}: {each.reason}" for each in broken),
            hints=tuple(f"install it again: `mimctl install {each.name}`" for each in broken),
            fix=Fix(reinstall=tuple(each.distribution for each in broken)),
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
        summary=f"{_count(len(facts.unmet), 'requirement is', 'requirements are')} not met",
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
        summary=f"{_count(len(facts.hidden), 'installed package is', 'installed packages are')} hidden",
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
        return Check(name="index", status="ok", summary=f"{_count(len(facts.index.files), 'wheel', 'wheels')}, {where}")
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


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def installer_call(env: Environment, verb: str) -> str:
    """Return how to call an installer for the target: `python -m pip install`."""
    if env.pip.value is None and env.uv.value is not None:
        return f"uv pip {verb} --python {env.target.python}"
    return f"{env.target.python} -m pip {verb}"


def _torch_again(facts: Facts, version: str) -> str:
    """Return how to install one version of torch anew; a labelled one stands in torch's own index."""
    label = version.partition("+")[2]
    index = f" --index-url {redact(facts.torch_index.rstrip('/'))}/{label}" if label else ""
    return f"`{installer_call(facts.env, 'install')} --force-reinstall{index} torch=={version}`"
