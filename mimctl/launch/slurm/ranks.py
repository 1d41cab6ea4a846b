"""Which rank of a job failed first: told by what the ranks have written, and by srun where one died without a word."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE_S = 1.0
"""Seconds that the other ranks have to end by themselves after the first failure, as on one machine."""
CONSEQUENCES = ("rank-lost", "rank-timeout")
"""What ranks say when another has gone, or does not come."""
_END = re.compile(r"srun: error: (?P<host>[^\s:]+): tasks? (?P<rank>\d+)[\d,-]*: (?P<how>.+)")
_CODE = re.compile(r"Exited with exit code (\d+)")
_START, _STOPPED = "ranks meet at ", ("forcing job termination", "Terminating StepId", "CANCELLED AT")
_SIGNALS = {signal.strsignal(each): each for each in signal.valid_signals()} | {"Out Of Memory": signal.SIGKILL}


def first_error(folder: Path, said: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """Return the error of the rank that failed first, with its rank and host; None where nothing is known of one.

    `folder` holds what ranks have written, `said` is what srun has said. What ranks say of others that are gone counts
    only where nobody says more.
    """
    written = _written(folder)
    own = (told for told in written if told.get("code") not in CONSEQUENCES)
    known = {told.get("details", {}).get("rank") for told in written}
    return next(own, None) or _first_death(said, known) or next(iter(written), None)


class FirstFailure:
    """Says, of a step that somebody waits for, when one rank has failed and the others had their time to end.

    Slurm itself would give them `KillWait`, half a minute with most clusters.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._since: float | None = None

    def __call__(self, said: Sequence[str]) -> bool:
        """Return whether the step is to be ended now, `said` being the last lines of srun."""
        now = time.monotonic()
        if self._since is None and (any(self._folder.glob("error-*.json")) or any(map(_END.search, said))):
            self._since = now
        return self._since is not None and now - self._since >= GRACE_S


def _written(folder: Path) -> list[dict[str, Any]]:
    """Return what ranks wrote, the earliest first."""
    found = []
    for path in sorted(folder.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict):
            found.append({**told, "event": "error"})
    return found


def _first_death(said: Iterable[str], known: Collection[object]) -> Mapping[str, Any] | None:
    """Return the error of the first rank of which srun says that it died by itself, before srun stopped the others."""
    lines = list(said)
    starts = [number for number, line in enumerate(lines) if line.startswith(_START)]
    for line in lines[starts[-1] if starts else 0 :]:
        if any(each in line for each in _STOPPED):
            return None
        if (found := _END.search(line)) and int(found["rank"]) not in known and (end := _end(found["how"])):
            return _death(int(found["rank"]), found["host"], *end)
    return None


def _end(how: str) -> tuple[int, str] | None:
    """Return the exit code that srun's words mean, and how to say it; None where the rank was stopped."""
    if found := _CODE.search(how):
        code = int(found[1])
        return None if code == 128 + signal.SIGTERM else (code, f"with exit code {code}")
    number = _SIGNALS.get(how.partition(" (")[0])
    return None if number in (None, signal.SIGTERM) else (128 + number, f"by signal {signal.Signals(number).name}")


def _death(rank: int, host: str, code: int, how: str) -> Mapping[str, Any]:
    hints = ["out of memory? try a smaller `--batch`"] if code == 128 + signal.SIGKILL else []
    return {
        "event": "error",
        "code": "rank-died",
        "message": f"rank {rank} ended {how}",
        "causes": [f"on host {host}"],
        "hints": hints,
        "exit_code": code,
        "details": {"rank": rank, "host": host},
    }
