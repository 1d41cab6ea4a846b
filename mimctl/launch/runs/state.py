"""What a run is doing now: read off its folder, the process table and Slurm."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimctl.errors import MimctlError
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.runs.files import CANCELLED, EXIT_CODE, MARKER, names_in, read_exit_code, read_json
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.told import told_by
from mimctl.launch.slurm.client import WAITING, Job, ask
from mimctl.launch.slurm.ranks import first_error

PATIENCE_S = 10.0
"""Seconds that Slurm has to answer a person who wants to know what runs do; by itself it takes a minute to give up."""

Phase = Literal["waiting", "running", "done", "failed", "cancelled", "stopped", "unknown"]

_ENDS: Mapping[str, Phase] = {"COMPLETED": "done", "CANCELLED": "cancelled", "PREEMPTED": "stopped",
                              "TIMEOUT": "stopped", "DEADLINE": "stopped", "NODE_FAIL": "stopped",
                              "BOOT_FAIL": "stopped", "REVOKED": "cancelled"}  # fmt: skip
_CODES: Mapping[int, Phase] = {0: "done", 130: "cancelled", 143: "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run and what is known of it now."""

    record: RunRecord
    phase: Phase
    job: Job | None = None
    step: Mapping[str, Any] = field(default_factory=dict)
    """The last event that told how far it is."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    error: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    is_resumable: bool = False
    """Whether it ended before its end and left a checkpoint to go on from."""
    note: str = ""
    """Why the phase is unknown, or how a run ended that could not write it down."""
    has_answer: bool = True
    """False where Slurm would have to tell, and does not answer."""

    @property
    def may_go_on(self) -> bool:
        """Return whether the run has not ended, as far as can be said."""
        return self.phase in ("waiting", "running") or not self.has_answer


def states_of(records: Sequence[RunRecord]) -> list[RunState]:
    """Return the states of several runs; Slurm is asked once, for those alone that have not said how they ended."""
    names = [names_in(each.folder) for each in records]
    open_jobs = [each.job_id for each in records if each.job_id is not None and not _has_ended(each.folder)]
    jobs: Mapping[str, Job] = {}
    silence = None
    try:
        jobs = ask(open_jobs, patience_s=PATIENCE_S)
    except MimctlError as err:
        silence = err.message
    return [
        _state(each, jobs.get(each.job_id or ""), found, silence if each.job_id in open_jobs else None)
        for each, found in zip(records, names, strict=True)
    ]


def state_of(record: RunRecord) -> RunState:
    """Return the state of one run."""
    return states_of([record])[0]


def _state(record: RunRecord, job: Job | None, names: frozenset[str], silence: str | None) -> RunState:
    told = told_by(record.folder / "events.jsonl")
    error = told.error or first_error(record.folder / "ranks")
    phase = _phase(record, job, names, has_answer=silence is None, has_error=error is not None)
    leaves_off = phase in ("failed", "cancelled", "stopped", "unknown") and record.action == "train"
    return RunState(
        record=record,
        phase=phase,
        job=job,
        step=told.step,
        metrics=told.metrics,
        checkpoint=told.checkpoint,
        error=error if phase == "failed" else None,
        result=read_json(record.folder / "result.json"),
        is_resumable=leaves_off and silence is None and has_checkpoint(record),
        note=_note(record, phase, names, silence),
        has_answer=silence is None,
    )


def _phase(record: RunRecord, job: Job | None, names: frozenset[str], *, has_answer: bool, has_error: bool) -> Phase:
    if job is not None and not job.is_over:
        return "waiting" if job.state in WAITING else "running"
    if not has_answer:
        return "unknown"
    is_alive = record.job_id is None and _is_alive(record)
    code = read_exit_code(record.folder)
    # A process of this machine that has written its exit code may live for a moment more.
    has_ended = not is_alive or code is not None
    if has_ended and MARKER not in names and code == 0:
        return "done"  # though it was cancelled a moment later
    if has_ended and (CANCELLED in names or (job is not None and job.state == "CANCELLED")):
        return "cancelled"
    if has_ended and MARKER in names:
        return "stopped"
    if job is not None and job.state in _ENDS:
        return _ENDS[job.state]
    if code is not None:
        return _CODES.get(code, "failed")
    if is_alive:
        return "running"
    if job is not None or has_error:
        return "failed"
    is_here = record.job_id is None and record.host == socket.gethostname()
    return "stopped" if is_here else "unknown"


def _note(record: RunRecord, phase: Phase, names: frozenset[str], silence: str | None) -> str:
    if phase == "stopped" and record.job_id is None and not names & {EXIT_CODE, MARKER}:
        return f"its process ({record.pid}) is gone without a word: it was killed, or the machine was started anew"
    if phase != "unknown":
        return ""
    if silence is not None:
        return silence
    if record.job_id is None:
        return f"it was started on `{record.host}`, which alone can tell"
    return f"Slurm knows job {record.job_id} no more, and it did not come to write down how it ended"


def _has_ended(folder: Path) -> bool:
    # One that was terminated may be queued again, or was cancelled.
    return read_exit_code(folder) not in (None, 128 + signal.SIGTERM)


def _is_alive(record: RunRecord) -> bool:
    if record.pid is None or record.host != socket.gethostname():
        return False
    return start_time(record.pid) == record.pid_started != ""


def has_checkpoint(record: RunRecord) -> bool:
    return record.work_dir is not None and Path(record.work_dir, "last_checkpoint").is_file()
