"""What a run has printed, and goes on printing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.processes.growing import GrowingFile, shown_line
from mimctl.launch.runs.control import log_file
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import state_of
from mimctl.launch.slurm.inquiry import Inquiry

POLL_S = 0.2


def show(
    record: RunRecord, write: Callable[[str], None], *, follows: bool, lines: int | None, rank: int | None
) -> Path:
    """Hand a run's lines to `write` and return the file (see `mimctl.api.logs`)."""
    path = log_file(record, rank)
    if path is None and follows:
        path = _wait_for(record, rank)
    if path is None:
        raise MimctlError(f"run `{record.run_id}` has written no log yet", code="no-log", causes=[record.run_dir])
    file = GrowingFile(path)
    for raw in deque(file.lines(), maxlen=lines):
        write(shown_line(raw))
    if follows:
        _follow(record, file, write)
    if file.rest():
        write(shown_line(file.rest()))
    return path


def _follow(record: RunRecord, file: GrowingFile, write: Callable[[str], None]) -> None:
    inquiry = Inquiry(lambda: state_of(record))
    while True:
        answer = inquiry.poll()
        # Read after the answer: what a run wrote before it ended is there then.
        came = list(file.lines())
        for raw in came:
            write(shown_line(raw))
        if answer is not None and answer.value is not None and not answer.value.may_go_on:
            return
        time.sleep(POLL_S)


def _wait_for(record: RunRecord, rank: int | None) -> Path | None:
    inquiry = Inquiry(lambda: state_of(record))
    while (path := log_file(record, rank)) is None:
        answer = inquiry.poll()
        if answer is not None and answer.value is not None and not answer.value.may_go_on:
            return log_file(record, rank)
        time.sleep(POLL_S)
    return path
