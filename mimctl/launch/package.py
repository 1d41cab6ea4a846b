"""Train, test and run with a package of mim's convention: its own script in the target interpreter, refused before it
starts where the environment cannot carry it."""

from __future__ import annotations

import shlex
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.local import run_script
from mimctl.launch.model import LaunchOptions, Workplace
from mimctl.launch.plan import choose_launcher
from mimctl.launch.scripts import (
    ScriptPlan,
    find_script,
    imports_of,
    no_such_verb,
    plan_launch,
    plan_run,
    slurm_facts,
)
from mimctl.launch.toolbox import lacks_of, surroundings
from mimctl.plugin.configs import SUFFIXES, find_config
from mimctl.plugin.mim import MimPackage, normalise
from mimctl.plugin.mim_needs import Lack, last_build
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES
from mimctl.spec import LauncherFacts

Verb = Literal["train", "test", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRequest:
    """A script of a package and what it is given; for train and test `arguments` begins with the config."""

    package: MimPackage
    verb: Verb
    arguments: tuple[str, ...] = ()
    command: str = ""
    """Which script, for `run`."""
    launch: LaunchOptions | None = None
    """How train and test are launched; `run` starts the script alone."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """A script that ended well, or the plan of one that was not started."""

    package: MimPackage
    script: Path
    plan: ScriptPlan
    config: Path | None = None
    is_started: bool = True
    refusal: MimctlError | None = None
    """Why it would not be started here, where it was only to be shown."""


OwnModel = Callable[[str, str], bool]
"""Whether the toolbox (first) builds the model of the config (second, a bare name)."""


def start(
    request: ScriptRequest,
    place: Workplace,
    *,
    builds: OwnModel = lambda toolbox, config: False,
    stdout: IO[bytes] | None = None,
) -> ScriptResult:
    """Run the script to its end, its output on this process's own streams (`stdout` in place of the standard output).

    Raises MimctlError[package-cannot-work] before anything starts where what the script imports is not there or has no
    build for this torch, [script-failed] with the script's own exit code, [verb-not-offered], and what looking for the
    config and the script raises.
    """
    package = request.package
    if request.verb == "run":
        script, config = find_script(package, request.command), None
    else:
        script = package.root / "tools" / f"{request.verb}.py"
        if not script.is_file():
            raise no_such_verb(package, request.verb)
        config = find_package_config(request.arguments[0], package)
    refusal = why_refused(request, script, config, place, builds)
    plan = _plan(request, script, config, place)
    if request.dry_run:
        return ScriptResult(package=package, script=script, plan=plan, config=config, is_started=False, refusal=refusal)
    if refusal is not None:
        raise refusal
    if plan.argv[0] == "srun" and shutil.which("srun") is None:
        raise UsageError("`srun` is not here", causes=["this machine is no login node of a Slurm cluster"])
    code = run_script(plan.argv, environment=plan.environment, unset=plan.unset, stdout=stdout)
    if code != 0:
        raise MimctlError(
            f"`{script.name}` of `{package.name}` ended with exit code {code}",
            code="script-failed",
            causes=[f"the line was: {shlex.join(plan.argv)}"],
            exit_code=code,
        )
    return ScriptResult(package=package, script=script, plan=plan, config=config)


def find_package_config(text: str, package: MimPackage) -> Path:
    """Return the config that a person means: a path that exists, or a bare name (with or without `.py`) among the
    package's configs. Raises ConfigError[config-not-found | config-ambiguous]."""
    path = Path(text)
    if "/" not in text and path.suffix in SUFFIXES and not path.is_file():
        text = path.stem
    return find_config(text, package)


def why_refused(
    request: ScriptRequest, script: Path, config: Path | None, place: Workplace, builds: OwnModel
) -> MimctlError | None:
    """Return the error [package-cannot-work] where the environment lacks what the script's imports need."""
    package = request.package
    imported = {normalise(each) for each in imports_of(script)}
    there = surroundings(place.paths)
    lacks = lacks_of(package, there)
    if normalise(package.module) not in imported:
        # A script of its own feet (a converter of annotations) needs only what it imports itself.
        lacks = [each for each in lacks if each.name in imported]
    if not lacks:
        return None
    return MimctlError(
        f"`{package.name}` {package.version} cannot work in this environment",
        code="package-cannot-work",
        causes=[each.reason for each in lacks],
        hints=hints_for(lacks, request, config, builds, torch=there.torch),
        details={"lacks": [each.requirement for each in lacks]},
    )


def hints_for(
    lacks: Sequence[Lack], request: ScriptRequest, config: Path | None, builds: OwnModel, *, torch: str | None
) -> list[str]:
    """Return what to type: our toolbox where it serves the model, else the way to an environment that works."""
    hints = []
    package = request.package
    ours = OPENMMLAB_NAMES.get(package.name) or OPENMMLAB_NAMES.get(package.module)
    if ours is not None and config is not None and builds(ours, config.stem):
        hints.append(f"our own toolbox has this model: `mimctl install {ours}`, then")
        hints.append(f"  `mimctl {request.verb} {ours} {config.stem}`")
    compiled = [(lack, build) for lack in lacks if (build := last_build(lack)) is not None]
    for lack, build in compiled:
        hints.append(
            f"{'or ' if hints else ''}an environment of its own: Python {build.python}, "
            f"`pip install 'torch=={build.torch}.*'`, `pip install {lack.name}=={build.version} -f {build.page(torch)}`"
        )
    plain = [lack.requirement for lack in lacks if last_build(lack) is None]
    if plain:
        words = " ".join(shlex.quote(each) for each in plain)
        hints.append(f"{'there, ' if compiled else ''}install what is missing: `mimctl install {words}`")
    return hints


def _plan(request: ScriptRequest, script: Path, config: Path | None, place: Workplace) -> ScriptPlan:
    if config is None:
        return plan_run(place.python, script, request.arguments)
    launch = request.launch or LaunchOptions()
    facts = slurm_facts(launch) if launch.launcher == "slurm" else _local_facts(launch, place, dry_run=request.dry_run)
    return plan_launch(
        place.python,
        script,
        (str(config), *request.arguments[1:]),
        verb=request.verb,
        config=config,
        facts=facts,
        launch=launch,
        port=launch.port or free_port(),
    )


def _local_facts(launch: LaunchOptions, place: Workplace, *, dry_run: bool) -> LauncherFacts:
    # A line can be looked at anywhere; only starting it needs the GPUs.
    visible = max(place.visible_gpus, launch.gpus or 0) if dry_run else place.visible_gpus
    return choose_launcher(kind=launch.launcher, gpus=launch.gpus, procs=launch.procs, visible_gpus=visible)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
