"""Trainings side by side on this machine, so many at a time; one that fails stops no other."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mimctl.launch.local import LocalRun
from mimctl.launch.model import LaunchPlan, Outcome, Silence
from mimctl.launch.process_table import start_time
from mimctl.launch.runs.files import clear_end, write_exit_code
from mimctl.launch.runs.record import RunRecord

POLL_S = 0.1

Told = Callable[[int, Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that waits for its turn."""

    number: int
    plan: LaunchPlan
    record: RunRecord


def run_all(jobs: Sequence[Job], *, most: int, told: Told) -> None:
    """Run the jobs, at most `most` at once, and tell of each that has ended.

    On KeyboardInterrupt those that run are stopped before it is raised again; the others have not begun.
    """
    waiting = deque(jobs)
    running: list[tuple[Job, LocalRun]] = []
    try:
        while waiting or running:
            while waiting and len(running) < most:
                job = waiting.popleft()
                running.append((job, _begin(job)))
            for job, child in list(running):
                outcome = child.poll()
                if outcome is not None:
                    running.remove((job, child))
                    write_exit_code(job.plan.run_dir, outcome.exit_code)
                    told(job.number, outcome)
            time.sleep(POLL_S)
    finally:
        for job, child in running:
            child.stop()
            write_exit_code(job.plan.run_dir, 130)


def _begin(job: Job) -> LocalRun:
    clear_end(job.plan.run_dir)
    pid = os.getpid()
    replace(job.record, pid=pid, pid_started=start_time(pid), started=time.time()).write()
    # What a trial tells is in its own files.
    return LocalRun(job.plan, Silence())
