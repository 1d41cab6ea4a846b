"""Start a script of a toolbox or a package: the program itself, its ranks through our engine, or mim's own lines."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal

from mimctl import __version__
from mimctl.errors import MimctlError, UsageError
from mimctl.launch.job import job_of
from mimctl.launch.model import LaunchOptions, LaunchPlan, Listener, RunRequest, SlurmOptions, Workplace
from mimctl.launch.plan import choose_launcher, make_plan
from mimctl.launch.prepare import new_run_dir
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.scripts import lines
from mimctl.launch.scripts.needs import OwnModel, why_refused
from mimctl.launch.scripts.programs import Program, find_program, list_programs, no_such_verb
from mimctl.launch.slurm.asking import ask_for
from mimctl.launch.start import start as start_plan
from mimctl.launch.streams import PassedOn, Streams
from mimctl.launch.toolbox import Toolbox, find_installed, find_package, find_working_plugin
from mimctl.plugin.configs import SUFFIXES, find_config
from mimctl.plugin.discover import Plugin
from mimctl.plugin.mim import MimPackage
from mimctl.settings.clusters import ClusterDefaults
from mimctl.spec import LauncherFacts, RunSpec

ENTRY = "mimctl.engine.script:run"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRequest:
    """A program and what it is given; for a package's `train` and `test` the words begin with the config."""

    toolbox: Toolbox
    program: Program
    verb: Literal["run", "train", "test"] = "run"
    arguments: tuple[str, ...] = ()
    config: Path | None = None
    launch: LaunchOptions = field(default_factory=LaunchOptions)
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """A script that ended well or goes on by itself, or the plan of one that was not started."""

    toolbox: Toolbox
    program: Program
    plan: LaunchPlan
    config: Path | None = None
    record: RunRecord | None = None
    """What was written down of it, None where it was not started."""
    is_over: bool = False
    refusal: MimctlError | None = None
    """Why it would not be started here, where it was only to be shown."""


def find_script(word: str, command: str, place: Workplace) -> tuple[Toolbox, Program]:
    """Return what `command` means in what `word` names: our toolbox, else the package of that name that has it.

    Raises what `find_program` does, MimctlError[plugin-not-installed | broken-plugin].
    """
    plugin = None if "==" in word else find_working_plugin(word, place)
    package = find_installed(word, place)
    if plugin is None:
        package = package or find_package(word, place)
        return package, find_program(package, command, place.paths)
    try:
        return plugin, find_program(plugin, command, place.paths)
    except UsageError as err:
        if package is None or err.code != "script-not-found":
            raise
        try:
            return package, find_program(package, command, place.paths)
        except UsageError:
            raise err from None


def list_scripts(word: str, place: Workplace) -> list[str]:
    """Return the names of all that `find_script` finds."""
    plugin = None if "==" in word else find_working_plugin(word, place)
    package = find_installed(word, place, is_required=plugin is None)
    found = [name for each in (plugin, package) if each is not None for name in list_programs(each, place.paths)]
    return list(dict.fromkeys(found))


def verb_request(
    package: MimPackage, verb: Literal["train", "test"], arguments: tuple[str, ...], launch: LaunchOptions
) -> ScriptRequest:
    """Return what `train` or `test` of a package is; `arguments` begin with the config.

    Raises MimctlError[verb-not-offered], ConfigError[config-not-found | config-ambiguous].
    """
    script = package.root / "tools" / f"{verb}.py"
    if not script.is_file():
        raise no_such_verb(package, verb)
    config = find_package_config(arguments[0], package)
    return ScriptRequest(
        toolbox=package,
        program=Program(kind="file", name=script.name, target=str(script)),
        verb=verb,
        arguments=(str(config), *arguments[1:]),
        config=config,
        launch=launch,
    )


def find_package_config(text: str, package: MimPackage) -> Path:
    """Return the config that a person means: a path that exists, or a bare name (with or without `.py`) among the
    package's configs. Raises ConfigError[config-not-found | config-ambiguous]."""
    path = Path(text)
    if "/" not in text and path.suffix in SUFFIXES and not path.is_file():
        text = path.stem
    return find_config(text, package)


def start(
    request: ScriptRequest,
    place: Workplace,
    *,
    builds: OwnModel = lambda toolbox, config: False,
    stdout: IO[bytes] | None = None,
    listener: Listener | None = None,
) -> ScriptResult:
    """Run the script to its end, or leave it running, as the launch options say.

    What it prints goes to this process's own streams (`stdout` in place of the standard output) and to the run's log;
    of a job of Slurm to `listener`. Raises MimctlError[package-cannot-work] before anything starts where what a
    package's script imports is not there or has no build for this torch, [script-failed] with the script's own exit
    code, [slurm-missing], and what the counts of processes raise.
    """
    toolbox, program = request.toolbox, request.program
    refusal = None
    if isinstance(toolbox, MimPackage) and program.path is not None:
        refusal = why_refused(toolbox, request.verb, program.path, request.config, place, builds)
    plan = _plan(request, place)
    result = ScriptResult(toolbox=toolbox, program=program, plan=plan, config=request.config, refusal=refusal)
    if request.dry_run:
        return result
    if refusal is not None:
        raise refusal
    if plan.argv[0] == "srun" and shutil.which("srun") is None:
        raise UsageError("`srun` is not here", causes=["this machine is no login node of a Slurm cluster"])
    launch = request.launch
    ended, record = start_plan(
        plan,
        book=place.book,
        name=launch.name or program.word,
        detach=launch.detach,
        listener=listener,
        streams=None if plan.script is not None or launch.detach else _streams(plan, stdout),
    )
    return replace(result, record=record, is_over=ended is not None)


def _plan(request: ScriptRequest, place: Workplace) -> LaunchPlan:
    facts, slurm = _job(request, place)
    run_dir = _run_dir(request, facts, place)
    if isinstance(request.toolbox, Plugin) and facts.kind != "none":
        return _engine_plan(request, request.toolbox, facts, slurm, place, run_dir)
    files: dict[Path, str] = {}
    line = _line(request, facts, slurm, place, run_dir / "rank.sh")
    if str(run_dir / "rank.sh") in line.argv:
        files[run_dir / "rank.sh"] = lines.RANK_SCRIPT
    spec = RunSpec(
        plugin=request.toolbox.name,
        package=_import_package(request.toolbox),
        action=request.verb,
        entry="",
        mimctl_version=__version__,
        config=str(request.config) if request.config else None,
        inputs=request.arguments,
        options=_options(request),
        launcher=facts,
    )
    return LaunchPlan(
        spec=spec,
        spec_path=run_dir / "spec.json",
        argv=line.argv,
        environment=line.environment,
        unset=line.unset,
        files=files,
    )


def _job(request: ScriptRequest, place: Workplace) -> tuple[LauncherFacts, SlurmOptions]:
    """Return who runs where, and what Slurm is told; a line can be looked at where there are no GPUs, nor a cluster."""
    launch = request.launch
    if _asks_nothing(request):
        return LauncherFacts(device="cuda"), SlurmOptions()
    job_name = request.program.word if request.config is None else f"{request.config.stem}_{request.verb}"
    if request.dry_run:
        place = replace(place, visible_gpus=max(place.visible_gpus, launch.gpus or 0))
    try:
        return job_of(launch, place, job_name=job_name)
    except MimctlError as err:
        if not request.dry_run or err.code != "slurm-refused":
            raise
    facts = choose_launcher(
        kind="slurm",
        gpus=launch.gpus,
        procs=launch.procs,
        gpus_per_node=launch.gpus_per_node,
        nodes=launch.nodes,
    )
    return facts, ask_for(launch, ClusterDefaults(), os.environ, job_name=job_name)


def _asks_nothing(request: ScriptRequest) -> bool:
    """Return whether a script is started as it would be by hand, with all the GPUs that there are."""
    launch = request.launch
    counts = (launch.gpus, launch.procs, launch.gpus_per_node, launch.nodes)
    return request.verb == "run" and launch.launcher in (None, "none") and counts == (None,) * len(counts)


def _line(
    request: ScriptRequest, facts: LauncherFacts, slurm: SlurmOptions, place: Workplace, rank: Path
) -> lines.Line:
    program, words = request.program, request.arguments
    if request.verb != "run":
        # mim hands the launcher on, behind the config and what may be a checkpoint.
        own = 2 if request.verb == "test" and len(words) > 1 and not words[1].startswith("-") else 1
        words = (*words[:own], "--launcher", facts.kind, *words[own:])
    if facts.kind == "none":
        return lines.alone(place.python, program, words, None if _asks_nothing(request) else facts)
    script = (program.target, *words)
    port = request.launch.port or free_port()
    if facts.kind == "pytorch":
        return lines.by_torch(place.python, script, facts, port=port)
    prefix = ("bash", str(rank)) if request.verb == "run" else ()
    return lines.by_srun(place.python, script, facts, slurm, port=port, prefix=prefix)


def _engine_plan(
    request: ScriptRequest, plugin: Plugin, facts: LauncherFacts, slurm: SlurmOptions, place: Workplace, run_dir: Path
) -> LaunchPlan:
    plan = make_plan(
        RunRequest(
            action="run",
            plugin=plugin.name,
            package=plugin.package,
            entry=ENTRY,
            python=place.python,
            run_dir=run_dir,
            inputs=request.arguments,
            options=_options(request),
            launcher=facts,
            port=request.launch.port,
            slurm=slurm,
        )
    )
    # Ranks that are ended must not take with them what they have printed.
    return replace(plan, environment={**plan.environment, "PYTHONUNBUFFERED": "1"})


def _options(request: ScriptRequest) -> dict[str, str]:
    program = request.program
    return {"kind": program.kind, "target": program.target, "name": program.name}


def _run_dir(request: ScriptRequest, facts: LauncherFacts, place: Workplace) -> Path:
    """Return the folder of this run: nodes of a cluster find it beside where it was started, what runs here leaves
    nothing there. Where something starts the folder is made, so that two at once have one each."""
    folder = Path("work_dirs", request.program.word).absolute()
    if facts.kind != "slurm" and place.book is not None:
        folder = place.book.scripts_dir
    while True:
        run_dir = new_run_dir(folder)
        if request.dry_run:
            return run_dir
        try:
            run_dir.mkdir(parents=True)
        except FileExistsError:
            continue
        return run_dir


def _streams(plan: LaunchPlan, stdout: IO[bytes] | None) -> Streams:
    sys.stdout.flush()
    sys.stderr.flush()
    out = stdout.fileno() if stdout is not None else 1
    return PassedOn(out=out, err=2, log=plan.run_dir / f"{plan.run_dir.name}.log")


def _import_package(toolbox: Toolbox) -> str:
    return toolbox.package if isinstance(toolbox, Plugin) else toolbox.module


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
