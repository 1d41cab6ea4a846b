"""Progress of plain Python loops on a terminal, and a stopwatch, in MMEngine's names."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TextIO


class ProgressBar:
    """Show how many of `task_num` tasks are done (0: unknown), how fast, and when the rest will be."""

    def __init__(self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = file if file is not None else sys.stdout
        self.timer: Timer | None = None
        if start:
            self.start()

    def start(self) -> None:
        """Begin to count."""
        self.timer = Timer()
        self._write(
            f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:" if self.task_num else "completed: 0"
        )

    def update(self, num_tasks: int = 1) -> None:
        """Count more tasks as done. ValueError for less than one."""
        if num_tasks < 1:
            raise ValueError(f"at least one task is done at a time, got {num_tasks}")
        self.completed += num_tasks
        elapsed = self.timer.since_start() if self.timer else 0.0
        rate = self.completed / elapsed if elapsed > 0 else float("inf")
        if self.task_num <= 0:
            self._write(f"\rcompleted: {self.completed}, elapsed: {int(elapsed + 0.5)}s, {rate:.1f} tasks/s")
            return
        done = min(self.completed / self.task_num, 1.0)
        mark = ">" * int(self.bar_width * done)
        rest = int(elapsed * (1 - done) / done + 0.5)
        self._write(
            f"\r[{mark:<{self.bar_width}}] {self.completed}/{self.task_num}, {rate:.1f} task/s, "
            f"elapsed: {int(elapsed + 0.5)}s, ETA: {rest:5}s"
        )

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


class Timer:
    """A stopwatch in seconds; as a context manager it prints the time with `print_tmpl`."""

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self.print_tmpl = print_tmpl or "{:.3f}"
        self._start: float | None = None
        self._last = 0.0
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Return whether it was started."""
        return self._start is not None

    def start(self) -> None:
        """Start it, from now."""
        self._start = self._last = time.perf_counter()

    def since_start(self) -> float:
        """Return the seconds since it was started. RuntimeError where it was not."""
        if self._start is None:
            raise RuntimeError("the timer is not running")
        self._last = time.perf_counter()
        return self._last - self._start

    def since_last_check(self) -> float:
        """Return the seconds since it was last asked. RuntimeError where it was not started."""
        if self._start is None:
            raise RuntimeError("the timer is not running")
        before, self._last = self._last, time.perf_counter()
        return self._last - before

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        sys.stdout.write(self.print_tmpl.format(self.since_last_check()) + "\n")
        self._start = None


def track_progress(
    func: Callable[..., Any], tasks: Sequence[Any], bar_width: int = 50, file: TextIO | None = None, **kwargs: Any
) -> list[Any]:
    """Call `func` with each task, showing progress, and return the results."""
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(
    tasks: Sequence[Any] | tuple[Any, int], bar_width: int = 50, file: TextIO | None = None
) -> Iterator[Any]:
    """Yield each task, showing progress; an iterable without a length comes as (iterable, number)."""
    if isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[1], int) and hasattr(tasks[0], "__iter__"):
        tasks, number = tasks
    else:
        number = len(tasks)
    bar = ProgressBar(number, bar_width, file=file)
    for task in tasks:
        yield task
        bar.update()
    bar.file.write("\n")
