"""How a followed job ended, where Slurm ended it or nothing came back: the error that a person reads."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.model import Outcome
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import has_checkpoint

_WAYS: Mapping[str, str] = {
    "CANCELLED": "was cancelled",
    "PREEMPTED": "made room for another one, and is not queued again",
    "TIMEOUT": "has used up its time",
    "DEADLINE": "has met its deadline",
    "NODE_FAIL": "lost a node, and is not queued again",
    "BOOT_FAIL": "got a node that did not come up",
    "OUT_OF_MEMORY": "took more memory than it had asked for",
}
_HINTS: Mapping[str, str] = {
    "TIMEOUT": "ask for more: `--time`",
    "OUT_OF_MEMORY": "ask for more: `--sbatch-args='--mem 32G'`, or take a smaller `--batch`",
}
_TERMINATED = ("CANCELLED", "PREEMPTED")
FULL_BYTES = 1 << 16
"""With so little space left a disk counts as full: a file of nothing takes a block."""


def error_of_job(outcome: Outcome, record: RunRecord) -> MimctlError | None:
    """Return the error for a job that did not end with 0, None where its ranks or its output say enough."""
    if outcome.error is not None:
        return None
    folder = record.folder
    going_on = [f"go on with it: `mimctl resume {record.run_id}`"] if has_checkpoint(record) else []
    way = _WAYS.get(outcome.state)
    if way is None and outcome.exit_code == 128 + signal.SIGTERM:
        way = "was stopped, and is not queued again"
    if way is not None:
        hints = [*([_HINTS[outcome.state]] if outcome.state in _HINTS else []), *going_on]
        code = 128 + signal.SIGTERM if outcome.state in _TERMINATED else outcome.exit_code
        return MimctlError(f"job {record.job_id} {way}", code="job-ended", hints=hints, exit_code=code)
    if _is_full(folder):
        return MimctlError(
            f"job {record.job_id} ended with exit code {outcome.exit_code}, and the disk of `{folder}` is full",
            code="disk-full",
            causes=[line for line in outcome.last_lines if line.strip()][-3:],
            hints=["free some space, or give another place: `--work-dir`", *going_on],
            exit_code=outcome.exit_code,
        )
    output = folder / f"slurm-{record.job_id}.out"
    if not output.exists():
        return MimctlError(
            f"job {record.job_id} ended without a word",
            code="no-output",
            causes=[f"nothing came to `{output}`"],
            hints=["give a folder that the nodes share with this machine, and may write to: `--work-dir`"],
            exit_code=outcome.exit_code,
        )
    return None


def _is_full(folder: Path) -> bool:
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < FULL_BYTES
