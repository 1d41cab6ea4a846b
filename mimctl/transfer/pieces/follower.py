"""Hashes a file while it grows, so that its hash is known soon after its last byte."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_CHUNK = 1 << 18
_POLL_S = 0.02


class Follower:
    """A thread that reads what is there of a file from its beginning, and hashes it.

    `kinds` are names of hashes (`sha256`, `md5`), `prefix` tells how many bytes are there without a gap.
    """

    def __init__(self, path: Path, kinds: Iterable[str], prefix: Callable[[], int]) -> None:
        self._path = path
        self._prefix = prefix
        self._hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
        self._is_whole = threading.Event()
        self._is_left = False
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="mimctl-hash", daemon=True)
        self._thread.start()

    def digests(self) -> dict[str, str]:
        """Return the hashes of the file, which is whole now, by kind; none where it could not be read."""
        self._is_whole.set()
        self._thread.join()
        return {} if self._failed else {kind: each.hexdigest() for kind, each in self._hashes.items()}

    def leave(self) -> None:
        """End without a result."""
        self._is_left = True
        self._is_whole.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._follow()
        except OSError:
            self._failed = True

    def _follow(self) -> None:
        room = memoryview(bytearray(_CHUNK))
        done = 0
        with self._path.open("rb", buffering=0) as stream:
            while not self._is_left:
                is_whole = self._is_whole.is_set()
                there = self._prefix()
                while done < there and not self._is_left:
                    num = stream.readinto(room[: min(_CHUNK, there - done)])
                    if not num:
                        raise OSError("the file is shorter than it was")
                    for each in self._hashes.values():
                        each.update(room[:num])
                    done += num
                if is_whole:
                    return
                self._is_whole.wait(_POLL_S)
