"""Draw a run's events: a live bar on a terminal's stderr, plain lines elsewhere."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mimctl.cli.result import Line, Styled, tame

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mimctl.cli.output import Output

PLAIN_EVERY_S = 10.0
"""Seconds between two step lines where there is no live bar."""

_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}


class RunView(Protocol):
    """What is told of a run while it goes."""

    def __enter__(self) -> RunView:
        """Begin to draw."""

    def __exit__(self, *exc: object) -> None:
        """Leave the screen as it is."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event."""

    def line(self, text: str) -> None:
        """Show one line that the child printed."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Show how far a file is that the run needs."""

    def note(self, text: str) -> None:
        """Show a line of mimctl itself."""


def make_view(output: Output, title: str) -> RunView:
    """Return the view that fits stderr."""
    return LiveView(output, title) if output.is_live() else PlainView(output)


class PlainView:
    """Lines for logs and pipes: one now and then, and at each phase, checkpoint and result."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._last_step = float("-inf")

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def event(self, event: Mapping[str, Any]) -> None:
        """Print the event where it tells something new."""
        if event["event"] == "step":
            is_last = event.get("step") == event.get("steps")
            if event["time"] - self._last_step < PLAIN_EVERY_S and not is_last:
                return
            self._last_step = event["time"]
        line = describe(event, debug=self.output.verbose)
        if line is not None:
            self.output.note(line)

    def line(self, text: str) -> None:
        """Print the child's line."""
        self.output.note(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Say nothing: a log needs no bytes."""

    def note(self, text: str) -> None:
        """Print a line."""
        self.output.note(text)


class LiveView:
    """A bar that moves, with the lines that matter above it."""

    def __init__(self, output: Output, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.output = output
        self._lock = threading.Lock()
        colored = output.wants_color(sys.stderr)
        self._console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, no_color=not colored)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task(title, total=_end(None), facts="starting")

    def __enter__(self) -> LiveView:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def event(self, event: Mapping[str, Any]) -> None:
        """Move the bar, or print a line above it."""
        if event["event"] == "step":
            self._progress.update(
                self._task,
                description=_place(event),
                completed=event.get("step", 0),
                total=_end(event.get("steps")),
                facts=_facts(event),
            )
            return
        line = describe(event, debug=self.output.verbose)
        if line is not None:
            self._print(line)

    def line(self, text: str) -> None:
        """Print the child's line above the bar."""
        self._print(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Show a file's bytes where the steps will be."""
        percent = f"{done / total:.0%}" if total else f"{done} bytes"
        self._progress.update(self._task, description=name, completed=done, total=_end(total), facts=percent)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._print(text)

    def _print(self, line: Line) -> None:
        with self._lock:
            text = line if isinstance(line, str) else line.text
            style = line.style if isinstance(line, Styled) else ""
            self._progress.console.print(tame(text), style=style or None, soft_wrap=True)


class TransferView:
    """Bars for files that come, on a terminal; notes as lines everywhere."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> TransferView:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Show how far a file is."""
        if not self.output.is_live():
            return
        bars = self._bars or self._start()
        if name not in self._tasks:
            self._tasks[name] = bars.add_task(name, total=_end(total))
        bars.update(self._tasks[name], completed=done, total=_end(total))

    def note(self, text: str) -> None:
        """Print a line."""
        if self._bars is None:
            self.output.note(text)
        else:
            self._bars.console.print(tame(text), soft_wrap=True)

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        colored = self.output.wants_color(sys.stderr)
        console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, no_color=not colored)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bars.start()
        return self._bars


@functools.cache
def _draws_without_end() -> bool:
    from importlib.metadata import version

    return tuple(int(word) for word in version("rich").split(".")[:2]) >= (12, 3)


def _end(total: float | None) -> float | None:
    """Return how far a bar goes, None where nobody knows: rich before 12.3 wants a number there too."""
    return total if total is not None or _draws_without_end() else 0


def describe(event: Mapping[str, Any], *, debug: bool = False) -> Line | None:
    """Return one line on an event, None where a person needs none (errors are told once, at the end)."""
    kind = event["event"]
    if kind == "phase":
        epoch, most = event.get("epoch"), event.get("max_epochs")
        return f"{event['phase']}: epoch {epoch} of {most}" if epoch and most else None
    if kind == "step":
        return f"{_place(event)}: {event.get('step')}/{event.get('steps')}  {_facts(event)}".rstrip()
    if kind == "metrics":
        numbers = "  ".join(f"{name} {_number(value)}" for name, value in event.get("metrics", {}).items())
        return Styled(f"{event.get('phase', 'val')}: {numbers}", "green")
    if kind == "checkpoint":
        return f"checkpoint: {event['path']}"
    if kind == "restart":
        error = event["error"]
        why = "; ".join([str(error["message"]), *map(str, error.get("causes", ())[-1:])])
        return Styled(f"{why}: all ranks start again ({event['number']} of {event['most']})", "yellow")
    if kind == "log":
        level = str(event.get("level", "info")).lower()
        if level == "debug" and not debug:
            return None
        text = str(event.get("message", ""))
        return Styled(text, _LEVELS[level]) if level in _LEVELS else text
    return None


def _place(event: Mapping[str, Any]) -> str:
    epoch = event.get("epoch")
    return f"{event.get('phase', 'run')}" + (f" epoch {epoch}" if epoch else "")


def _facts(event: Mapping[str, Any]) -> str:
    facts = [f"{name} {_number(value)}" for name, value in event.get("scalars", {}).items()]
    eta = event.get("eta_s")
    return "  ".join([*facts, f"eta {duration(eta)}"] if eta is not None else facts)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return a time span as people read it: `2h05m`, `3m20s`, `12s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
