"""Start what a plan says: on this machine or through Slurm, followed or detached, written down in the book of runs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.launch import local
from mimctl.launch.failure import error_of
from mimctl.launch.growing import size_of
from mimctl.launch.model import LaunchPlan, Listener, Outcome, Silence
from mimctl.launch.process_table import start_time
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.files import MARKER, clear_end, write_exit_code
from mimctl.launch.runs.record import RunRecord, record_of
from mimctl.launch.slurm.client import leaked, submit
from mimctl.launch.slurm.follow import follow
from mimctl.launch.slurm.ranks import first_error


def start(
    plan: LaunchPlan,
    *,
    book: RunBook | None,
    name: str | None = None,
    detach: bool = False,
    texts: Mapping[Path, str] | None = None,
    listener: Listener | None = None,
) -> tuple[Outcome | None, RunRecord]:
    """Start a plan and return how it ended (None where it was detached) and its record.

    `texts` are more files to write first. Raises MimctlError where the run failed, with the child's own exit code.
    """
    plan.run_dir.mkdir(parents=True, exist_ok=True)
    for path, text in {**(texts or {}), **plan.files}.items():
        write_text(path, text, mode=0o666)
    plan.spec.write(plan.spec_path)
    write_text(plan.run_dir / "resume.json", replace(plan.spec, resume="auto").to_json())
    record = _record(plan, book, name)
    return begin(plan, record, book=book, detach=detach, listener=listener or Silence())


def begin(
    plan: LaunchPlan, record: RunRecord, *, book: RunBook | None, detach: bool, listener: Listener
) -> tuple[Outcome | None, RunRecord]:
    """Start a plan whose files are written, for the first time or again."""
    clear_end(plan.run_dir)
    told = size_of(plan.run_dir / "events.jsonl")
    if plan.script is not None:
        record = replace(record, job_id=submit(Path(plan.argv[-1]), plan.argv[2:-1], environ=_environment(plan)))
        _write_down(record, book)
        outcome = None if detach else _followed(plan, record, listener, told)
    else:
        record = replace(record, pid=os.getpid(), pid_started=start_time(os.getpid()))
        _write_down(record, book)
        outcome = _run_here(plan, listener)
    if outcome is not None and outcome.exit_code != 0:
        raise error_of(outcome, plan)
    return outcome, record


def _run_here(plan: LaunchPlan, listener: Listener) -> Outcome:
    code = 130
    ranks = plan.run_dir / "ranks"
    if plan.argv[0] == "srun":
        shutil.rmtree(ranks, ignore_errors=True)
        ranks.mkdir()
        plan = replace(plan, unset=(*plan.unset, *leaked()))
    try:
        outcome = local.run(plan, listener)
        if outcome.exit_code and outcome.error is None and (told := first_error(ranks)):
            outcome = replace(outcome, error=told, exit_code=int(told.get("exit_code", outcome.exit_code)))
        if outcome.exit_code == 0 and (plan.run_dir / MARKER).exists():
            # A scheduler takes the marker for an answer; whoever waits here must not take half a training for a whole.
            outcome = replace(outcome, exit_code=128 + signal.SIGTERM)
        code = outcome.exit_code
    finally:
        write_exit_code(plan.run_dir, code)
    return outcome


def _followed(plan: LaunchPlan, record: RunRecord, listener: Listener, told: int) -> Outcome:
    assert record.job_id is not None
    try:
        return follow(record.job_id, plan.run_dir, listener, skip=told)
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
