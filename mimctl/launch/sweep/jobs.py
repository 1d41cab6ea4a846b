"""Trials as jobs of Slurm."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.launch.model import LaunchPlan
from mimctl.launch.runs.files import clear_end
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import RunState, states_of
from mimctl.launch.slurm import client
from mimctl.launch.slurm.inquiry import Inquiry
from mimctl.launch.sweep.queue import Going

SURE_S = 3.0
"""A job that was preempted seems over for a moment before Slurm queues it again."""
TRY_AGAIN_S = 10.0
"""Seconds until a job is submitted again that Slurm did not take, though it took others like it."""

Tell = Callable[[str], None]


class Jobs:
    """Starts trials as jobs, and asks for all of them at once."""

    pause_s = 0.5

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._records: dict[int, RunRecord] = {}
        self._states: dict[int, RunState] = {}
        self._inquiry = Inquiry(self._ask)
        self._is_silent = False
        self._has_submitted = False

    def begin(self, number: int, plan: LaunchPlan, record: RunRecord) -> Going:
        """Submit a trial whose specification is written."""
        clear_end(plan.run_dir)
        for path, text in plan.files.items():
            write_text(path, text, mode=0o666)
        record = replace(record, job_id=self._submit(plan), started=time.time())
        record.write()
        self._tell(f"trial {number}: job {record.job_id}")
        return self.watch(number, record)

    def watch(self, number: int, record: RunRecord) -> Going:
        """Look after a job that was submitted before."""
        self._records[number] = record
        return _Job(number, record, self)

    def state(self, number: int) -> RunState | None:
        """Return what was last heard of a trial, None where that was nothing."""
        answer = self._inquiry.poll()
        if answer is not None and answer.value is not None:
            if _phases(answer.value) != _phases(self._states):
                self._inquiry.hasten()
            self._states = answer.value
            silent = next((each.note for each in self._states.values() if not each.has_answer), None)
            if silent is not None and not self._is_silent:
                self._tell(f"Slurm does not answer ({silent}); the jobs go on, it is asked again")
            self._is_silent = silent is not None
        return self._states.get(number)

    def forget(self, number: int) -> None:
        """Ask for a trial no more."""
        self._records.pop(number, None)

    def _ask(self) -> dict[int, RunState]:
        records = dict(self._records)
        return dict(zip(records, states_of([*records.values()]), strict=True))

    def _submit(self, plan: LaunchPlan) -> str:
        is_told = False
        while True:
            try:
                job = client.submit(Path(plan.argv[-1]), plan.argv[2:-1], environ={**os.environ, **plan.environment})
            except MimctlError as err:
                if err.code != "slurm-refused" or not self._has_submitted:
                    raise
                if not is_told:
                    why = "; ".join(err.causes) or err.message
                    self._tell(f"Slurm takes no more jobs now ({why}); tried again every {TRY_AGAIN_S:.0f} s")
                is_told = True
                time.sleep(TRY_AGAIN_S)
            else:
                self._has_submitted = True
                return job


def _phases(states: Mapping[int, RunState]) -> dict[int, str]:
    return {number: state.phase for number, state in states.items()}


class _Job:
    """One trial that is a job."""

    def __init__(self, number: int, record: RunRecord, jobs: Jobs) -> None:
        self.number = number
        self._record, self._jobs = record, jobs
        self._over_since: float | None = None
        self._cancelled_at: float | None = None

    def is_over(self) -> bool:
        state = self._jobs.state(self.number)
        if state is None or state.may_go_on:
            self._over_since = None
            if self._cancelled_at is not None and time.monotonic() - self._cancelled_at > TRY_AGAIN_S:
                self.give_up()
            return False
        self._over_since = self._over_since or time.monotonic()
        if state.phase not in ("done", "failed") and time.monotonic() - self._over_since < SURE_S:
            return False
        self._jobs.forget(self.number)
        return True

    def give_up(self) -> None:
        assert self._record.job_id is not None
        self._cancelled_at = time.monotonic()
        with contextlib.suppress(MimctlError):  # no answer: asked again
            client.cancel(self._record.job_id)

    def leave(self) -> None:
        """A job goes on without who looks after it."""
