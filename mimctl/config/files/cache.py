"""Evaluated files, held for as long as they and what they depend on stay as they are."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from mimctl.config.values import ConfigDict, LazyReference

Stamp = tuple[str, int, int]
"""Path, time of the last change (ns) and size of a file; -1 twice where there is none."""


@dataclass(slots=True, kw_only=True)
class Loaded:
    """One evaluated file: its values with its bases merged in, and what they depend on."""

    data: ConfigDict
    references: dict[str, LazyReference] = field(default_factory=dict)
    stamps: list[Stamp] = field(default_factory=list)
    environment: dict[str, str | None] = field(default_factory=dict)
    uses_search: bool = False
    is_pure_python: bool = False
    """Written in the style that reads its bases with `read_base()` and imports its types."""

    def depend_on(self, other: Loaded) -> None:
        """Take over what another file, that this one is built on, depends on."""
        self.stamps.extend(other.stamps)
        self.environment.update(other.environment)
        self.uses_search |= other.uses_search

    def is_fresh(self) -> bool:
        """Say whether the files and environment variables are still as they were."""
        return all(os.environ.get(name) == held for name, held in self.environment.items()) and all(
            stamp_of(stamp[0]) == stamp for stamp in self.stamps
        )


def stamp_of(path: str) -> Stamp:
    """Return what tells whether a file has changed."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - on the path of every load
    except OSError:
        return (path, -1, -1)
    return (path, facts.st_mtime_ns, facts.st_size)


class BaseCache:
    """Evaluated bases by absolute path, the most recently used `limit` of them; threads may share it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: OrderedDict[str, Loaded] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, path: str) -> Loaded | None:
        """Return what is held of `path` if it is still true."""
        found = self.held.get(path)
        if found is None or not found.is_fresh():
            return None
        with self.lock:
            if path in self.held:
                self.held.move_to_end(path)
        return found

    def put(self, path: str, loaded: Loaded) -> None:
        """Hold `loaded`, dropping the least recently used beyond the limit."""
        with self.lock:
            self.held[path] = loaded
            self.held.move_to_end(path)
            while len(self.held) > self.limit:
                self.held.popitem(last=False)


CACHE = BaseCache(limit=200)
"""What all loads of this process share; what it holds is copied before anybody changes it."""
