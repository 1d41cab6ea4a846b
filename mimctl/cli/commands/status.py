"""`mimctl status`, `logs`, `cancel`, `resume`: runs that were started, from any directory."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.narrow import narrow_table
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Line, Result, Styled, table
from mimctl.cli.runs import whereabouts

if TYPE_CHECKING:
    from mimctl.launch.runs.state import RunState

_FACTS = (
    "run_id", "name", "plugin", "action", "config", "work_dir", "run_dir", "launcher", "started", "host", "job_id",
    "pid",
)  # fmt: skip


_HEAD = ("run", "name", "verb", "state", "progress", "job", "started")
_SPARE = ("verb", "started", "job", "progress")
"""What a narrow terminal does without, in this order."""


@verb("status", examples=["mimctl status", "mimctl status last", "mimctl status k3xqpa --json"], uses=())
@click.argument("run", required=False)
@click.option("-n", "most", type=click.IntRange(min=1), metavar="N", default=20, help="So many runs.  [default: 20]")
def status(context: Context, run: str | None, most: int) -> Result:
    """Show what runs are doing: all recent ones, or RUN (an id, a name, a path, Slurm's number, or `last`)."""
    states = api.status(run, most=most, settings=context.settings)
    if run is not None:
        return _one(states[0])
    rows = [_row(each) for each in states]
    lines = narrow_table(rows, _HEAD, width=context.output.width(), spare=_SPARE)
    silent = next((each.note for each in states if not each.has_answer), None)
    return Result(
        data={"runs": [_data(each) for each in states]},
        lines=lines or ["no run was started yet"],
        quiet=[each.record.run_id for each in states],
        closing=[Styled(f"note: {silent}", "yellow")] if silent else [],
    )


@verb("logs", examples=["mimctl logs last", "mimctl logs -f k3xqpa", "mimctl logs my_run -n 50 --rank 1"], uses=())
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends; Ctrl-C stops looking, not the run.")
@click.option("-n", "lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--rank", type=click.IntRange(min=0), metavar="N", help="What this process printed.")
def logs(context: Context, run: str, follow: bool, lines: int | None, rank: int | None) -> Result:
    """Print what RUN has printed."""
    kept: list[str] = []
    write = kept.append if context.output.json else click.echo
    path = api.logs(run, write, follows=follow, lines=lines, rank=rank, settings=context.settings)
    return Result(data={"file": str(path), "lines": kept})


@verb("cancel", examples=["mimctl cancel last", "mimctl cancel k3xqpa"], uses=())
@click.argument("run")
def cancel(context: Context, run: str) -> Result:
    """Stop RUN; what it has saved stays."""
    state = api.cancel(run, settings=context.settings)
    record = state.record
    what = f"job {record.job_id}" if record.job_id is not None else f"process {record.pid}"
    return Result(
        data={"run": record.run_id, "job": record.job_id, "pid": record.pid},
        lines=[f"cancelled {record.run_id} ({what})"],
        closing=[f"go on with it later: `mimctl resume {record.run_id}`"] if record.action == "train" else [],
    )


@verb("resume", examples=["mimctl resume last", "mimctl resume k3xqpa --detach"], uses=())
@click.argument("run")
@click.option("-d", "--detach", is_flag=True, help="Return at once; `mimctl logs -f` follows the run.")
def resume(context: Context, run: str, detach: bool) -> Result:
    """Go on with RUN, a training that ended before its end, from its newest checkpoint."""
    with context.output.run_view("resume") as view:
        record, result = api.resume(run, detach=detach, listener=view, settings=context.settings)
    data: dict[str, object] = {"run": record.run_id, "job": record.job_id, **(result or {})}
    if result is None:
        return Result(data=data, lines=[record.run_id], notes=whereabouts(record))
    checkpoint = str(result.get("checkpoint") or "")
    return Result(data=data, lines=[checkpoint] if checkpoint else [])


def _one(state: RunState) -> Result:
    record = state.record
    facts: list[tuple[str, Any]] = [
        ("run", record.run_id), ("name", record.name), ("verb", f"{record.action} {record.plugin}"),
        ("state", _shown(state)), ("progress", _progress(state)), ("job", record.job_id),
        ("nodes", state.job.nodes if state.job else None), ("config", record.config), ("work dir", record.work_dir),
        ("run dir", record.run_dir), ("checkpoint", state.checkpoint), ("metrics", _metrics(state)),
    ]  # fmt: skip
    lines: list[Line] = list(table([(name, value) for name, value in facts if value]))
    if state.error is not None:
        lines.append(Styled(f"error[{state.error.get('code')}]: {state.error.get('message')}", "red"))
    closing: list[Line] = [Styled(f"note: {state.note}", "yellow")] if state.note else []
    closing += [f"resumable: `mimctl resume {record.run_id}`"] if state.is_resumable else []
    return Result(data=_data(state), lines=lines, quiet=[state.phase], closing=closing)


def _row(state: RunState) -> tuple[str, ...]:
    record = state.record
    began = time.strftime("%m-%d %H:%M", time.localtime(record.started))
    verb_of = f"{record.action} {record.plugin}"
    return record.run_id, record.name, verb_of, _shown(state), _progress(state), record.job_id or "-", began


def _shown(state: RunState) -> str:
    reason = state.job.reason if state.job is not None and state.phase == "waiting" else ""
    shown = f"{state.phase} ({reason})" if reason else state.phase
    return f"{shown}, resumable" if state.is_resumable else shown


def _progress(state: RunState) -> str:
    step = state.step
    if not step:
        return ""
    epoch = f"epoch {step['epoch']}, " if step.get("epoch") else ""
    return f"{epoch}{step.get('step')}/{step.get('steps')}"


def _metrics(state: RunState) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in state.metrics.items() if isinstance(value, (int, float)))


def _data(state: RunState) -> dict[str, object]:
    record = asdict(state.record)
    return {
        **{name: record[name] for name in _FACTS},
        "state": state.phase,
        "note": state.note or None,
        "slurm_state": state.job.state if state.job else None,
        "reason": state.job.reason if state.job else None,
        "nodes": state.job.nodes if state.job else None,
        "step": dict(state.step),
        "metrics": dict(state.metrics),
        "checkpoint": state.checkpoint,
        "error": dict(state.error) if state.error else None,
        "resumable": state.is_resumable,
    }


COMMANDS = {"status": status, "logs": logs, "cancel": cancel, "resume": resume}
