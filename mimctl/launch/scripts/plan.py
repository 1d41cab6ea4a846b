"""Turn a script and how it is launched into a plan: the program itself, ranks through our engine, or mim's lines."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from mimctl import __version__
from mimctl.errors import MimctlError
from mimctl.launch.job import choose, job_of
from mimctl.launch.model import LaunchPlan, RunRequest, SlurmOptions
from mimctl.launch.place import Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.prepare import new_run_dir
from mimctl.launch.scripts import lines
from mimctl.launch.scripts.model import ScriptRequest
from mimctl.launch.slurm.asking import ask_for
from mimctl.launch.toolbox import Toolbox
from mimctl.plugin.discover import Plugin
from mimctl.settings.clusters import ClusterDefaults
from mimctl.spec import LauncherFacts, RunSpec

ENTRY = "mimctl.engine.script:run"


def make_script_plan(request: ScriptRequest, place: Workplace) -> LaunchPlan:
    """Return exactly what a request starts; its folder is there where it is not only to be looked at.

    Raises what the counts of processes raise.
    """
    facts, slurm = _job(request, place)
    run_dir = _run_dir(request, facts, place)
    if isinstance(request.toolbox, Plugin) and facts.kind != "none":
        return _engine_plan(request, request.toolbox, facts, slurm, place, run_dir)
    files: dict[Path, str] = {}
    line = _line(request, facts, slurm, place, run_dir / "rank.sh")
    if str(run_dir / "rank.sh") in line.argv:
        files[run_dir / "rank.sh"] = lines.render_rank(slurm)
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
    if request.asks_nothing:
        return LauncherFacts(device="cuda"), SlurmOptions()
    job_name = request.program.word if request.config is None else f"{request.config.stem}_{request.verb}"
    if request.dry_run:
        place = replace(place, visible_gpus=max(place.visible_gpus, launch.gpus or 0))
    try:
        return job_of(launch, place, job_name=job_name)
    except MimctlError as err:
        if not request.dry_run or err.code != "slurm-refused":
            raise
    return choose(launch, place), ask_for(launch, ClusterDefaults(), os.environ, job_name=job_name)


def _line(
    request: ScriptRequest, facts: LauncherFacts, slurm: SlurmOptions, place: Workplace, rank: Path
) -> lines.Line:
    program, words = request.program, request.arguments
    if request.verb != "run":
        # mim hands the launcher on, behind the config and what may be a checkpoint.
        own = 2 if request.verb == "test" and len(words) > 1 and not words[1].startswith("-") else 1
        words = (*words[:own], "--launcher", facts.kind, *words[own:])
    if facts.kind == "none":
        return lines.alone(place.python, program, words, None if request.asks_nothing else facts)
    script = (program.target, *words)
    port = request.launch.port or _free_port()
    if facts.kind == "pytorch":
        return lines.by_torch(place.python, script, facts, port=port)
    prefix = ("bash", str(rank)) if request.verb == "run" or slurm.setup else ()  # mim's own line, where that is enough
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


def _import_package(toolbox: Toolbox) -> str:
    return toolbox.package if isinstance(toolbox, Plugin) else toolbox.module


def _free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
