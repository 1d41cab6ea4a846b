"""Follow a submitted job: its events, what it prints, its state, until it has ended for good."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.launch.model import Listener, Outcome
from mimctl.launch.processes.events import EventReader
from mimctl.launch.processes.growing import GrowingFile, shown_line
from mimctl.launch.runs.files import names_in, read_exit_code, read_json
from mimctl.launch.slurm.client import WAITING, Job, ask
from mimctl.launch.slurm.inquiry import Inquiry
from mimctl.launch.slurm.ranks import first_error

POLL_S = 0.1
SURE_S = 3.0
"""A job that was preempted seems over for a moment before Slurm queues it again."""
KEPT_LINES = 40


def follow(job_id: str, run_dir: Path, listener: Listener, *, skip: int = 0) -> Outcome:
    """Tell `listener` what a job does, and return how it ended; events before byte `skip` are left out.

    KeyboardInterrupt passes through: the job goes on.
    """
    events = EventReader(run_dir / "events.jsonl", skip=skip)
    output = GrowingFile(run_dir / f"slurm-{job_id}.out")
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    watch = _Watch(job_id, listener)
    error: Mapping[str, Any] | None = None
    while True:
        is_over = watch.is_over()
        for event in events.read():
            error = event if event.get("event") == "error" else error
            listener.event(event)
        for line in map(shown_line, output.lines()):
            kept.append(line)
            listener.line(line)
        if is_over:
            break
        time.sleep(POLL_S)
    error = error or first_error(run_dir / "ranks", kept)
    return _outcome(watch.job, run_dir, error, tuple(kept))


class _Watch:
    """Asks for a job's state now and then, and says when it changes."""

    def __init__(self, job_id: str, listener: Listener) -> None:
        self.listener = listener
        self.job: Job | None = None
        self._inquiry = Inquiry(lambda: ask([job_id]).get(job_id))
        self._told = ""
        self._over_since: float | None = None

    def is_over(self) -> bool:
        answer = self._inquiry.poll()
        if answer is None:
            return False
        if answer.error is not None:
            self._tell(f"Slurm does not answer ({answer.error.message}); the job goes on, and is asked for again")
            return False
        found = answer.value
        if found is not None:
            self.job = found
            self._tell(described(found))
        if found is not None and not found.is_over:
            self._over_since = None
            return False
        if found is not None and found.state in ("COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY"):
            return True
        now = time.monotonic()
        self._over_since = self._over_since or now
        self._inquiry.hasten()
        return now - self._over_since >= SURE_S

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._inquiry.hasten()
            self.listener.line(text)


def described(job: Job) -> str:
    """Return a job's state as a person reads it."""
    if job.state in WAITING:
        return f"job {job.job_id} waits" + (f": {job.reason}" if job.reason else "")
    return f"job {job.job_id}: {job.state.lower().replace('_', ' ')}" + (f" on {job.nodes}" if job.nodes else "")


def _outcome(job: Job | None, run_dir: Path, error: Mapping[str, Any] | None, last: tuple[str, ...]) -> Outcome:
    names_in(run_dir)  # so that a network file system shows what was written last
    state = job.state if job is not None else ""
    # What the script wrote counts more than what Slurm says: a job that is done may be cancelled a moment later.
    code = read_exit_code(run_dir)
    if code is None:
        code = 0 if state == "COMPLETED" else 1
    if error is not None and code not in (0, None):
        code = int(error.get("exit_code", code))
    return Outcome(
        exit_code=code,
        result=read_json(run_dir / "result.json"),
        error=error if code else None,
        last_lines=last,
        state=state,
    )
