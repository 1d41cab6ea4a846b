"""What a run is doing now: read off its folder, the process table and Slurm."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimctl.launch.process_table import start_time
from mimctl.launch.runs.files import CANCELLED, MARKER, read_exit_code, read_json
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.slurm.client import WAITING, Job, ask
from mimctl.launch.slurm.ranks import first_error

Phase = Literal["waiting", "running", "done", "failed", "cancelled", "stopped", "unknown"]

_ENDS: Mapping[str, Phase] = {"COMPLETED": "done", "CANCELLED": "cancelled", "PREEMPTED": "stopped",
                              "TIMEOUT": "stopped", "DEADLINE": "stopped", "REVOKED": "cancelled"}  # fmt: skip
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


def states_of(records: Sequence[RunRecord]) -> list[RunState]:
    """Return the states of several runs; Slurm is asked once for all of them."""
    jobs = ask(each.job_id for each in records if each.job_id is not None) if _any_job(records) else {}
    return [_state(each, jobs.get(each.job_id or "")) for each in records]


def state_of(record: RunRecord) -> RunState:
    """Return the state of one run."""
    return states_of([record])[0]


def _any_job(records: Sequence[RunRecord]) -> bool:
    return any(each.job_id is not None and not _has_ended(each.folder) for each in records)


def _state(record: RunRecord, job: Job | None) -> RunState:
    told = _Told.of(record.folder / "events.jsonl")
    result = read_json(record.folder / "result.json")
    phase = _phase(record, job)
    error = told.error or first_error(record.folder / "ranks")
    leaves_off = phase in ("failed", "cancelled", "stopped", "unknown") and record.action == "train"
    return RunState(
        record=record,
        phase=phase,
        job=job,
        step=told.step,
        metrics=told.metrics,
        checkpoint=told.checkpoint,
        error=error if phase == "failed" else None,
        result=result,
        is_resumable=leaves_off and _has_checkpoint(record),
    )


def _phase(record: RunRecord, job: Job | None) -> Phase:
    if job is not None and not job.is_over:
        return "waiting" if job.state in WAITING else "running"
    has_left = record.job_id is not None or not _is_alive(record)
    if has_left and ((record.folder / CANCELLED).exists() or (job is not None and job.state == "CANCELLED")):
        return "cancelled"
    if has_left and (record.folder / MARKER).exists():
        return "stopped"
    if job is not None and job.state in _ENDS:
        return _ENDS[job.state]
    code = read_exit_code(record.folder)
    if code is not None:
        return _CODES.get(code, "failed")
    if job is not None:
        return "failed"
    if record.job_id is None and _is_alive(record):
        return "running"
    is_here = record.job_id is None and record.host == socket.gethostname()
    return "stopped" if is_here else "unknown"


def _has_ended(folder: Path) -> bool:
    return read_exit_code(folder) is not None


def _is_alive(record: RunRecord) -> bool:
    if record.pid is None or record.host != socket.gethostname():
        return False
    return start_time(record.pid) == record.pid_started != ""


def _has_checkpoint(record: RunRecord) -> bool:
    return record.work_dir is not None and Path(record.work_dir, "last_checkpoint").is_file()


@dataclass(slots=True)
class _Told:
    """What the events of a run tell about its end; read from the file's tail backwards would save little."""

    step: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, path: Path) -> _Told:
        told = cls()
        for event in _events(path):
            kind = event.get("event")
            if kind == "step":
                told.step, told.error = event, None
            elif kind == "metrics":
                told.metrics = event.get("metrics", {})
            elif kind == "checkpoint":
                told.checkpoint = event.get("path")
            elif kind == "error":
                told.error = event
        return told


def _events(path: Path) -> list[dict[str, Any]]:
    from mimctl.launch.events import EventReader

    return list(EventReader(path).read())
