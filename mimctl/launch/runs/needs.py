"""What runs that have not ended still need of a folder of files: a job that waits has not read its weights yet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import RunState, states_of

_UNKNOWN_S = 24 * 3600.0
"""So long a run counts of which nobody here can tell whether it has ended."""


def needed_files(book: RunBook, folder: Path) -> dict[Path, RunRecord]:
    """Return the files below `folder` that runs name which may still go on → one of these runs.

    A run names what its specification names, and its config. Paths are resolved. Slurm is asked where jobs have not
    said how they ended; where it does not answer they count as open. Raises MimctlError[bad-run].
    """
    folder = folder.resolve()
    found: dict[Path, RunRecord] = {}
    for state in states_of(book.runs()):
        if _may_start(state):
            for text in _named_by(state.record):
                path = Path(text).resolve()
                if path.is_relative_to(folder):
                    found.setdefault(path, state.record)
    return found


def _may_start(state: RunState) -> bool:
    if state.phase == "unknown":
        return not state.has_answer or time.time() - state.record.started < _UNKNOWN_S
    return state.may_go_on


def _named_by(record: RunRecord) -> Iterator[str]:
    """Yield the absolute paths that a run's specification and its config hold."""
    try:
        spec = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    yield from _paths_in(spec)
    yield from _paths_in(_config(spec.get("config")))


def _config(path: object) -> object:
    from mimctl.config import Config

    try:
        return Config.fromfile(path).to_dict() if isinstance(path, str) else None
    except (MimctlError, OSError):
        return None  # the run will not be able to read it either


def _paths_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("/"):
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _paths_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths_in(each)
