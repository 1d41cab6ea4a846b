"""The small files of a run's folder: how it ended, what it returned, what others have to tell of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.files import write_text

MARKER = "unfinished"
"""What a preempted training leaves."""
CANCELLED = "cancelled"
"""What `mimctl cancel` leaves: Slurm forgets its jobs."""
EXIT_CODE = "exit_code"


def names_in(run_dir: Path) -> frozenset[str]:
    """Return the names in a run's folder, none where there is no such folder.

    Asked for one name after the other, a network file system may say for a minute that a file is not there which was
    not there when it was last asked; opening the folder has it ask its server.
    """
    try:
        return frozenset(each.name for each in run_dir.iterdir())
    except OSError:
        return frozenset()


def read_json(path: Path) -> Mapping[str, Any] | None:
    """Return the object in a JSON file, None where there is no whole one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def read_exit_code(run_dir: Path) -> int | None:
    """Return how a run ended, None where it has not, or could not say so any more."""
    try:
        return int((run_dir / EXIT_CODE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def write_exit_code(run_dir: Path, code: int) -> None:
    """Write down how a run ended."""
    write_text(run_dir / EXIT_CODE, f"{code}\n")


def append_error(run_dir: Path, error: Mapping[str, Any]) -> None:
    """Add an error to the events of a run that could not tell it itself."""
    run_dir.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"event": "error", "time": round(time.time(), 3), **error}, default=str)
    with (run_dir / "events.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def clear_end(run_dir: Path) -> None:
    """Remove what says that a run has ended, before it goes on."""
    for name in (EXIT_CODE, MARKER, CANCELLED, "result.json"):
        (run_dir / name).unlink(missing_ok=True)
