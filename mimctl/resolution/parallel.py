"""Do many small things that wait for the network at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_MOST = 8


def in_parallel(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Call `work`, which raises nothing, for each of `items`, up to eight at once, and wait until all are done.

    The threads end with the process: an interrupted command does not wait for a server.
    """
    if len(items) < 2:
        for item in items:
            work(item)
        return
    waiting: SimpleQueue[T] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def run() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except Empty:
                return
            work(item)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(_MOST, len(items)))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
