"""What the agents of several nodes tell each other, over a store that the first one keeps.

Every agent writes a page of its own, again and again; the first node reads the pages of all, the others the first's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

BEAT_S = 0.2
"""Seconds between two exchanges."""
SILENT_S = 20.0
"""Seconds without a new page after which a node counts as gone, …"""
SILENT_AFTER_FAILURE_S = 10.0
"""… and where ranks of another have failed, as they do soon after a node has gone."""


class Line:
    """Publishes this node's page and keeps those of `others` up to date, in a thread of its own.

    The thread alone uses the store: a store whose machine has vanished may never answer. `tell` changes the page.
    """

    def __init__(self, store: Any, node: int, others: Iterable[int]) -> None:
        self._store = store
        self._key = page_key(node)
        self._others = {other: page_key(other) for other in others}
        self._page: dict[str, Any] = {}
        self._seen: dict[int, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._exchanged = threading.Condition()
        self._rounds = 0
        self._last_round = time.monotonic()
        self._is_broken = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to exchange."""
        self._thread.start()

    def tell(self, **facts: Any) -> None:
        """Put facts on this node's page."""
        with self._lock:
            self._page.update(facts)

    def page(self, node: int) -> Mapping[str, Any] | None:
        """Return the newest page of another node, None before it has written one."""
        with self._lock:
            seen = self._seen.get(node)
        return json.loads(seen[0]) if seen is not None else None

    def is_silent(self, node: int, patience_s: float = SILENT_S) -> bool:
        """Say whether a node that was there has written nothing for so long."""
        if self._is_broken:
            return True
        now = time.monotonic()
        with self._lock:
            seen = self._seen.get(node)
            return seen is not None and now - seen[1] > patience_s

    @property
    def is_broken(self) -> bool:
        """Say whether the store is gone, and with it the first node."""
        return self._is_broken or time.monotonic() - self._last_round > SILENT_S

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until what was told is published."""
        with self._exchanged:
            wanted = self._rounds + 2  # the one that is under way may have taken the page before
            self._exchanged.wait_for(lambda: self._rounds >= wanted or self._is_broken, timeout_s)

    def close(self) -> None:
        """End the thread; one that waits for a vanished machine is left to itself."""
        self._is_over.set()
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        beat = 0
        while not self._is_over.is_set():
            beat += 1
            try:
                self._exchange(beat)
            except Exception:  # torch's errors of connections have no common type over its versions
                self._is_broken = True
            with self._exchanged:
                self._rounds += 1
                self._exchanged.notify_all()
            if self._is_broken:
                return
            self._is_over.wait(BEAT_S)

    def _exchange(self, beat: int) -> None:
        with self._lock:
            page = json.dumps({**self._page, "beat": beat})
        self._store.set(self._key, page)
        keys = [key for node, key in self._others.items() if node in self._seen or self._store.check([key])]
        found = dict(zip(keys, self._store.multi_get(keys), strict=True)) if keys else {}
        now = time.monotonic()
        with self._lock:
            # Where this process itself was held up, so may have been the others: a job can be suspended as a whole.
            if now - self._last_round > SILENT_AFTER_FAILURE_S / 2:
                self._seen = {node: (text, now) for node, (text, _) in self._seen.items()}
            for node, key in self._others.items():
                if key in found:
                    text = found[key].decode()
                    before = self._seen.get(node)
                    self._seen[node] = (text, now) if before is None or before[0] != text else before
            self._last_round = now


def page_key(node: int) -> str:
    """Return where a node's page is in the store."""
    return f"mimctl/page/{node}"
