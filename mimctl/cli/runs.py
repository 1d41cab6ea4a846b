"""What train, test and infer share: options into requests, plans and results into text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan
    from mimctl.launch.runs.record import RunRecord
    from mimctl.launch.verbs import RunResult

DRY_RUN = "dry run: nothing was started or written"


def config_of(config: str, values: Mapping[str, Any]) -> ConfigOptions:
    """Return the config and its changes as typed."""
    from mimctl.launch.model import ConfigOptions

    return ConfigOptions(
        config=config,
        cfg_options=values["cfg_options"],
        work_dir=values.get("work_dir"),
        epochs=values.get("epochs"),
        batch=values.get("batch"),
        imgsz=values.get("imgsz"),
        lr=values.get("lr"),
        trust_config=values["trust_config"],
    )


def launch_of(values: Mapping[str, Any]) -> LaunchOptions:
    """Return how the processes are started, as typed."""
    from mimctl.launch.model import LaunchOptions

    if values["foreground"] and values["detach"]:
        raise UsageError("`--foreground` waits for the run, `--detach` does not", hints=["leave one of them out"])
    return LaunchOptions(**{each.name: values[each.name] for each in fields(LaunchOptions)})


def started(
    outcome: RunResult, *, lines: Sequence[Line], quiet: Sequence[Line] = (), notes: Sequence[Line] = ()
) -> Result:
    """Return the result of a run that ended well; of several nodes the first one has it."""
    spec = outcome.plan.spec
    if rank := spec.launcher.node_rank:
        lines, quiet, notes = (), (), [f"node {rank} has done its part; what came of it lies with node 0"]
    data: dict[str, object] = {
        "plugin": spec.plugin,
        "config": spec.config,
        "work_dir": spec.work_dir,
        **dict(outcome.result or {}),
    }
    if outcome.report is not None:
        data["data"] = dict(outcome.report.raw)
    return Result(data=data, lines=lines, quiet=quiet, notes=notes)


def shortest(path: str | None) -> str:
    """Return a path as it is typed from the current folder, quoted where the shell wants it."""
    if path is None:
        return ""
    here = Path.cwd()
    return shlex.quote(str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path)


def explain_plan(outcome: RunResult, *, is_verbose: bool) -> Result:
    """Return what would be started: the batch script, or argv and environment."""
    plan = outcome.plan
    data: dict[str, object] = {
        "argv": list(plan.argv),
        "environment": dict(plan.environment),
        "unset": list(plan.unset),
        "spec_path": str(plan.spec_path),
        "spec": asdict(plan.spec),
        "script": plan.script,
        "files": {str(path): content for path, content in plan.files.items()},
    }
    if outcome.report is not None:
        data["data"] = dict(outcome.report.raw)
    seen: list[Line] = [Styled(f"# {line}", "dim") for line in (outcome.report.lines if outcome.report else ())]
    text = [*seen, *plan_lines(plan, is_verbose=is_verbose)]
    return Result(data=data, lines=text, quiet=text, notes=[DRY_RUN])


def plan_lines(plan: LaunchPlan, *, is_verbose: bool) -> list[Line]:
    """Return a plan as text: the batch script, or what is typed in a shell; all files too where more is wanted."""
    text: list[Line] = []
    if plan.script is not None:
        text += plan.script.rstrip("\n").split("\n")
    else:
        text += [f"unset {' '.join(plan.unset)}"] if plan.unset else []
        text += [f"export {name}={shlex.quote(value)}" for name, value in plan.environment.items()]
        text.append(shlex.join(plan.argv))
    if is_verbose:
        for path, content in {plan.spec_path: plan.spec.to_json(), **plan.files}.items():
            text += ["", f"# {path}", *content.rstrip("\n").split("\n")]
    return text


def detached(record: RunRecord) -> Result:
    """Return what a person needs of a run that goes on by itself."""
    data = {
        "run": record.run_id,
        "job": record.job_id,
        "pid": record.pid,
        "work_dir": record.work_dir,
        "run_dir": record.run_dir,
    }
    return Result(data=data, lines=[record.run_id], quiet=[record.run_id], notes=whereabouts(record))


def whereabouts(record: RunRecord) -> list[Line]:
    """Return what a run is to the system, and how to look at it."""
    what = f"job {record.job_id}" if record.job_id is not None else f"process {record.pid}"
    return [f"run {record.run_id} is {what}", f"follow it: `mimctl logs -f {record.run_id}`"]
