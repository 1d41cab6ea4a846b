"""Trials as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mimctl.launch.failure import error_of
from mimctl.launch.model import LaunchPlan, Silence
from mimctl.launch.processes.growing import shown_line
from mimctl.launch.processes.local import LocalRun
from mimctl.launch.processes.process_table import descendants, end_all, start_time
from mimctl.launch.processes.streams import KEPT_LINES
from mimctl.launch.runs.files import MARKER, append_error, clear_end, write_exit_code
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.sweep.queue import Going

OUTPUT = "output.txt"
"""What a trial prints, in the folder of its run."""
KEPT_BYTES = 1 << 16
ORPHAN_S = 30.0
"""Seconds that a trial has to save its state whose sweep was killed."""
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class Here:
    """Starts trials on this machine, each on GPUs of its own as far as there are so many."""

    pause_s = 0.1

    def __init__(self, gpus: Sequence[str] = ()) -> None:
        """`gpus`: the names of the GPUs that CUDA is shown, none on the CPU."""
        self._gpus = tuple(gpus)
        self._busy: dict[int, int] = {}

    def begin(self, number: int, plan: LaunchPlan, record: RunRecord) -> Going:
        """Start a trial whose files are written."""
        clear_end(plan.run_dir)
        groups = gpu_groups(self._gpus, plan.spec.launcher.num_procs) if plan.spec.launcher.device == "cuda" else []
        if groups:
            slot = min(range(len(groups)), key=lambda each: list(self._busy.values()).count(each))
            self._busy[number] = slot
            plan = replace(plan, environment={**plan.environment, "CUDA_VISIBLE_DEVICES": groups[slot]})
        return _Child(number, plan, record, self._busy)


def gpu_groups(gpus: Sequence[str], size: int) -> list[str]:
    """Return the GPUs in groups of `size`, as CUDA_VISIBLE_DEVICES names them; what is left over stays unused."""
    whole = range(0, len(gpus) - size + 1, size)
    return [",".join(gpus[start : start + size]) for start in whole]


def visible_names(number: int, shown: str | None) -> list[str]:
    """Return what the first `number` GPUs are called, where CUDA_VISIBLE_DEVICES is `shown`."""
    named = [each.strip() for each in shown.split(",")] if shown else []
    return [each for each in named if each][:number] or [str(each) for each in range(number)]


class _Child:
    """A trial that is a child of this process."""

    def __init__(self, number: int, plan: LaunchPlan, record: RunRecord, busy: dict[int, int]) -> None:
        self.number = number
        self._plan = plan
        self._busy = busy
        self._run = LocalRun(plan, Silence(), _ToFile(plan.run_dir / OUTPUT))
        self._is_over = False
        pid = self._run.process.pid
        replace(record, pid=pid, pid_started=start_time(pid), started=time.time()).write()

    def is_over(self) -> bool:
        if self._is_over:
            return True
        outcome = self._run.poll()
        if outcome is None:
            return False
        code = outcome.exit_code
        if code == 0 and (self._plan.run_dir / MARKER).exists():
            code = TERMINATED  # it was asked to stop, and will go on
        if code not in (0, INTERRUPTED, TERMINATED) and outcome.error is None:
            append_error(self._plan.run_dir, error_of(outcome, self._plan).to_dict())
        self._end(code)
        return True

    def give_up(self) -> None:
        self._run.stop()
        self._end(INTERRUPTED)

    def leave(self) -> None:
        self.give_up()

    def _end(self, code: int) -> None:
        write_exit_code(self._plan.run_dir, code)
        self._busy.pop(self.number, None)
        self._is_over = True


class _ToFile:
    """Both streams of a trial to the end of a file, which outlives its sweep."""

    stdin: int | None = subprocess.DEVNULL

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    @property
    def kept(self) -> tuple[str, ...]:
        """The last lines."""
        with self._path.open("rb") as stream:
            stream.seek(max(0, self._path.stat().st_size - KEPT_BYTES))
            return tuple(shown_line(raw) for raw in stream.read().splitlines()[-KEPT_LINES:])

    def open(self) -> tuple[int | None, int | None]:
        """Return the file for both."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        return self._file, self._file

    def begin(self) -> None:
        """Leave the file to the trial."""
        os.close(self._file)

    def finish(self) -> None:
        """Nothing is kept back."""


def end_orphan(record: RunRecord) -> None:
    """End a trial of this machine whose sweep was killed: it saves its state, is waited for, and goes on from there."""
    pid = record.pid
    if pid is None or not record.pid_started or start_time(pid) != record.pid_started:
        return
    family = {pid: record.pid_started, **descendants(pid)}
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + ORPHAN_S
    while any(start_time(each) == started for each, started in family.items()):
        if time.monotonic() > deadline:
            end_all(family)
        time.sleep(Here.pause_s)
