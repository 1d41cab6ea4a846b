"""Start what a plan says: on this machine or through Slurm, followed or detached, written down in the book of runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mimctl.errors import MimctlError, disk_error
from mimctl.files import write_text
from mimctl.launch.failure import error_of
from mimctl.launch.model import LaunchPlan, Listener, Outcome, Silence
from mimctl.launch.processes import local
from mimctl.launch.processes.detached import leave
from mimctl.launch.processes.growing import size_of
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.processes.streams import Streams
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.files import MARKER, append_error, clear_end, write_exit_code
from mimctl.launch.runs.record import RunRecord, record_of
from mimctl.launch.slurm.client import cancel, leaked, submit
from mimctl.launch.slurm.ended import error_of_job
from mimctl.launch.slurm.follow import follow
from mimctl.launch.slurm.ranks import FirstFailure, first_error


def start(
    plan: LaunchPlan,
    *,
    book: RunBook | None,
    name: str | None = None,
    detach: bool = False,
    texts: Mapping[Path, str] | None = None,
    listener: Listener | None = None,
    streams: Streams | None = None,
) -> tuple[Outcome | None, RunRecord]:
    """Start a plan and return how it ended (None where it was detached) and its record.

    `texts` are more files to write first; `streams` say where a child of this machine prints to, where that is not the
    listener. Raises MimctlError where the run failed, with the child's own exit code.
    """
    try:
        _write_files(plan, texts or {})
    except OSError as err:
        raise disk_error(err, plan.run_dir) or err from err
    record = _record(plan, book, name)
    return begin(plan, record, book=book, detach=detach, listener=listener or Silence(), streams=streams)


def _write_files(plan: LaunchPlan, texts: Mapping[Path, str]) -> None:
    plan.run_dir.mkdir(parents=True, exist_ok=True)
    for path, text in {**texts, **plan.files}.items():
        write_text(path, text, mode=0o666)
    plan.spec.write(plan.spec_path)
    if plan.spec.entry:  # a job that is queued again reads it, whatever it runs
        write_text(plan.run_dir / "resume.json", replace(plan.spec, resume="auto").to_json())


def begin(
    plan: LaunchPlan,
    record: RunRecord,
    *,
    book: RunBook | None,
    detach: bool,
    listener: Listener,
    streams: Streams | None = None,
) -> tuple[Outcome | None, RunRecord]:
    """Start a plan whose files are written, for the first time or again."""
    clear_end(plan.run_dir)
    told = size_of(plan.run_dir / "events.jsonl")
    if plan.script is not None:
        record = _submit(plan, record, book)
        outcome = None if detach else _followed(plan, record, listener, told)
    elif detach:
        _write_down(record, book)
        record = leave(plan, record)
        _write_down(record, book)
        outcome = None
    else:
        record = replace(record, pid=os.getpid(), pid_started=start_time(os.getpid()))
        _write_down(record, book)
        outcome = run_here(plan, listener, streams)
    if outcome is not None:
        raise_failed(outcome, plan)
    return outcome, record


def raise_failed(outcome: Outcome, plan: LaunchPlan) -> None:
    """Raise the error of a run that did not end with 0; what no event has told of it yet, `mimctl status` learns."""
    if outcome.exit_code == 0:
        return
    error = error_of(outcome, plan)
    if outcome.error is None:
        with contextlib.suppress(OSError):
            append_error(plan.run_dir, error.to_dict())
    raise error


def run_here(plan: LaunchPlan, listener: Listener, streams: Streams | None = None) -> Outcome:
    """Run a plan's child on this machine, write down how it ended, and return it."""
    code = 130
    try:
        outcome = _run_step(plan, listener, streams) if plan.argv[0] == "srun" else local.run(plan, listener, streams)
        if outcome.exit_code == 0 and (plan.run_dir / MARKER).exists():
            # A scheduler takes the marker for an answer; whoever waits here must not take half a training for a whole.
            outcome = replace(outcome, exit_code=128 + signal.SIGTERM)
        code = outcome.exit_code
    finally:
        with contextlib.suppress(OSError):  # a full disk has been told of by the run itself
            write_exit_code(plan.run_dir, code)
    return outcome


def _run_step(plan: LaunchPlan, listener: Listener, streams: Streams | None) -> Outcome:
    """Run a step of Slurm and wait for it."""
    ranks = plan.run_dir / "ranks"
    shutil.rmtree(ranks, ignore_errors=True)
    ranks.mkdir()
    # srun kills its tasks at SIGTERM; SIGUSR2 goes on to them, and lets a training save its state.
    stop_signal = signal.SIGUSR2 if plan.spec.action == "train" else signal.SIGTERM
    plan = replace(plan, unset=(*plan.unset, *leaked()))
    # Agents end together by themselves, and say why.
    is_stuck = None if plan.spec.launcher.is_elastic else FirstFailure(ranks)
    outcome = local.run(plan, listener, streams, stop_signal=stop_signal, is_stuck=is_stuck)
    is_told = outcome.exit_code in (0, 128 + signal.SIGTERM) or outcome.error is not None
    if is_told or not (told := first_error(ranks, outcome.last_lines)):
        return outcome
    path = ranks / f"error-{told.get('details', {}).get('rank', 0)}.json"
    if not path.exists():  # the rank died without a word: `mimctl status` reads it here
        write_text(path, json.dumps(told))
    return replace(outcome, error=told, exit_code=int(told.get("exit_code", outcome.exit_code)))


def _submit(plan: LaunchPlan, record: RunRecord, book: RunBook | None) -> RunRecord:
    """Submit a job and write it down; one that cannot be written down is cancelled, for nobody would find it again."""
    job_id = submit(Path(plan.argv[-1]), plan.argv[2:-1], environ=_environment(plan))
    record = replace(record, job_id=job_id)
    try:
        _write_down(record, book)
    except OSError as err:
        cancel(job_id)
        raise disk_error(err, record.run_dir) or err from err
    return record


def _followed(plan: LaunchPlan, record: RunRecord, listener: Listener, told: int) -> Outcome:
    assert record.job_id is not None
    try:
        outcome = follow(record.job_id, plan.run_dir, listener, skip=told)
    except KeyboardInterrupt:
        raise MimctlError(
            f"stopped looking; job {record.job_id} goes on",
            code="detached",
            hints=[
                f"look again: `mimctl logs -f {record.run_id}`",
                f"cancel it: `mimctl cancel {record.run_id}`",
            ],
            exit_code=130,
        ) from None
    if outcome.exit_code and (error := error_of_job(outcome, record)) is not None:
        raise error
    return outcome


def _record(plan: LaunchPlan, book: RunBook | None, name: str | None) -> RunRecord:
    stem = Path(plan.spec.work_dir or plan.spec.config or plan.run_dir).stem
    return record_of(plan, book.new_id() if book is not None else plan.run_dir.name, name or stem)


def _write_down(record: RunRecord, book: RunBook | None) -> None:
    if book is None:
        record.write()
    else:
        book.add(record)


def _environment(plan: LaunchPlan) -> dict[str, str]:
    return {**os.environ, **plan.environment}
