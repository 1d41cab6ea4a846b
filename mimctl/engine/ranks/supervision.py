"""End all ranks soon after one has failed: the agent's watch over processes that may be waiting for the dead."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mimctl.engine.ranks.siblings import process_ids

GRACE_S = 1.0
"""Seconds that the other ranks have to end by themselves after the first failure."""
_POLL_S = 0.1


class Team(Protocol):
    """The nodes of a run, of which one's failure ends the ranks of all."""

    def tell_failure(self) -> None:
        """Let the other nodes end their ranks."""

    def has_failed_elsewhere(self) -> bool:
        """Say whether ranks of another node have failed, or a node has gone."""


class Supervision:
    """Watch the ranks that leave their process ids and errors in `folder` while the block runs.

    A rank has failed when it has written its error, or is gone without having said that it is done. `killed` are the
    ranks that were ended from here: their exit codes say nothing. What ranks leave behind, such as processes that load
    data, ends with the block. `team` are the other nodes, which are told of a failure and tell of theirs.
    """

    def __init__(self, folder: Path, team: Team) -> None:
        self.killed: set[int] = set()
        self._folder = folder
        self._team = team
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        for process_id in process_ids(self._folder).values():
            _kill_group(process_id)

    def _watch(self) -> None:
        while not self._is_over.wait(_POLL_S):
            has_failed = self._has_failed()
            if has_failed:
                self._team.tell_failure()
            if has_failed or self._team.has_failed_elsewhere():
                self._is_over.wait(GRACE_S)
                self._kill_the_rest()
                return

    def _has_failed(self) -> bool:
        if any(self._folder.glob("error-*.json")):
            return True
        running = process_ids(self._folder)
        return any(_is_gone(pid) and not (self._folder / f"done-{rank}").exists() for rank, pid in running.items())

    def _kill_the_rest(self) -> None:
        # A rank may announce itself only now.
        limit = time.monotonic() + GRACE_S
        while not self._is_over.is_set() and time.monotonic() < limit:
            for rank, pid in process_ids(self._folder).items():
                if rank not in self.killed and not _is_gone(pid):
                    self.killed.add(rank)
                    _kill_group(pid)
            self._is_over.wait(_POLL_S)


def _is_gone(process_id: int) -> bool:
    """Say whether a process has ended; one that nobody has waited for yet has ended too."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return not _exists(process_id)
    except (OSError, IndexError):
        return True
    return state in "ZX"


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill_group(process_id: int) -> None:
    # The elastic launch gives each rank a session, and so a process group, of its own.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(process_id, signal.SIGKILL)
