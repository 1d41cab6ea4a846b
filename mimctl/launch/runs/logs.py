"""What a run has printed, and goes on printing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.processes.growing import GrowingFile, shown_line
from mimctl.launch.runs.control import log_names
from mimctl.launch.runs.files import names_in
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import state_of
from mimctl.launch.slurm.inquiry import Inquiry

POLL_S = 0.2


def show(
    record: RunRecord, write: Callable[[str], None], *, follows: bool, lines: int | None, rank: int | None
) -> Path:
    """Hand a run's lines to `write` and return the first of its files (see `mimctl.api.logs`)."""
    names = log_names(record, rank)
    there = _those_there(record, names)
    if not there and follows:
        there = _wait_for(record, names)
    if not there:
        raise MimctlError(f"run `{record.run_id}` has written no log yet", code="no-log", causes=[record.run_dir])
    files = [GrowingFile(record.folder / name) for name in names]
    for raw in deque(_lines(files), maxlen=lines):
        write(shown_line(raw))
    if follows:
        _follow(record, files, write)
    for file in files:
        if file.rest():
            write(shown_line(file.rest()))
    return there[0]


def _lines(files: Sequence[GrowingFile]) -> Iterator[bytes]:
    for file in files:
        yield from file.lines()


def _follow(record: RunRecord, files: Sequence[GrowingFile], write: Callable[[str], None]) -> None:
    inquiry = Inquiry(lambda: state_of(record))
    while True:
        answer = inquiry.poll()
        # Read after the answer: what a run wrote before it ended is there then.
        for raw in list(_lines(files)):
            write(shown_line(raw))
        if answer is not None and answer.value is not None and not answer.value.may_go_on:
            return
        time.sleep(POLL_S)


def _wait_for(record: RunRecord, names: Sequence[str]) -> list[Path]:
    inquiry = Inquiry(lambda: state_of(record))
    while not (there := _those_there(record, names)):
        answer = inquiry.poll()
        if answer is not None and answer.value is not None and not answer.value.may_go_on:
            return _those_there(record, names)
        time.sleep(POLL_S)
    return there


def _those_there(record: RunRecord, names: Sequence[str]) -> list[Path]:
    there = names_in(record.folder)
    return [record.folder / name for name in names if name in there]
