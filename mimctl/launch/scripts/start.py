"""Start a script of a toolbox or a package, and say how it ended."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from typing import IO

from mimctl.errors import MimctlError
from mimctl.launch.model import LaunchPlan, Listener
from mimctl.launch.place import Workplace
from mimctl.launch.processes.streams import PassedOn, Streams
from mimctl.launch.scripts.model import ScriptRequest, ScriptResult
from mimctl.launch.scripts.needs import OwnModel, why_refused
from mimctl.launch.scripts.plan import make_script_plan
from mimctl.launch.start import start as start_plan
from mimctl.plugin.mim import MimPackage


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
    if refusal is not None and not request.dry_run:
        raise refusal
    plan = make_script_plan(request, place)
    result = ScriptResult(toolbox=toolbox, program=program, plan=plan, config=request.config, refusal=refusal)
    if request.dry_run:
        return result
    if plan.argv[0] == "srun" and shutil.which("srun") is None:
        raise MimctlError(
            "there is no `srun` on this machine",
            code="slurm-missing",
            hints=["start it from a login node of the cluster, or leave out `--launcher slurm`"],
        )
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


def _streams(plan: LaunchPlan, stdout: IO[bytes] | None) -> Streams:
    sys.stdout.flush()
    sys.stderr.flush()
    out = stdout.fileno() if stdout is not None else 1
    return PassedOn(out=out, err=2, log=plan.run_dir / f"{plan.run_dir.name}.log")
