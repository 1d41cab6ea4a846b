"""Where what a child prints goes: line by line to a listener, or as it comes to our own streams and a log."""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import threading
from pathlib import Path
from typing import Protocol

from mimctl.launch.model import Listener
from mimctl.launch.processes.growing import shown_line

KEPT_LINES = 40
PATIENCE_S = 2.0
"""Seconds to wait for the end of a stream: a process that escaped could hold it open for ever."""
_CHUNK = 1 << 16


class Streams(Protocol):
    """The standard streams of a child."""

    @property
    def stdin(self) -> int | None:
        """What the child reads, as `subprocess` takes it."""

    @property
    def kept(self) -> tuple[str, ...]:
        """The last lines, where they are not seen by anybody else."""

    def open(self) -> tuple[int | None, int | None]:
        """Return the child's standard output and error, as `subprocess` takes them."""

    def begin(self) -> None:
        """Hand on what comes, from now on: the child has been started."""

    def finish(self) -> None:
        """Hand on the rest: the child has ended."""


class Relayed:
    """Both streams as one, by lines, to a listener; the last lines are kept."""

    stdin: int | None = subprocess.DEVNULL

    def __init__(self, listener: Listener) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._listener = listener
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def kept(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._lines)

    def open(self) -> tuple[int | None, int | None]:
        """Return one pipe for both."""
        self._read, self._write = os.pipe()
        return self._write, self._write

    def begin(self) -> None:
        """Read in a thread."""
        os.close(self._write)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the last line."""
        self._thread.join(timeout=PATIENCE_S)

    def _work(self) -> None:
        with open(self._read, "rb") as stream:  # noqa: PTH123 (a descriptor, no path)
            for raw in stream:
                text = shown_line(raw)
                self._lines.append(text)
                self._listener.line(text)


class PassedOn:
    """Each stream byte for byte to one of ours (a descriptor) and to a log.

    Where ours is a terminal, the child has one. Who reads no more (`| head`) ends the child as it would without us in
    between.
    """

    stdin: int | None = None
    kept: tuple[str, ...] = ()

    def __init__(self, *, out: int, err: int, log: Path) -> None:
        self._ends: list[tuple[int, int, int]] = []
        self._sinks = (out, err)
        self._path = log
        self._threads: list[threading.Thread] = []

    def open(self) -> tuple[int | None, int | None]:
        """Return a pipe or a terminal for each."""
        self._log = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._ends = [(*_ends_for(sink), sink) for sink in self._sinks]
        return self._ends[0][1], self._ends[1][1]

    def begin(self) -> None:
        """Copy each in a thread."""
        for read, write, sink in self._ends:
            os.close(write)
            self._threads.append(threading.Thread(target=self._copy, args=(read, sink), daemon=True))
            self._threads[-1].start()

    def finish(self) -> None:
        """Wait for the rest."""
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        if self._threads and not any(thread.is_alive() for thread in self._threads):
            self._threads.clear()
            os.close(self._log)

    def _copy(self, read: int, sink: int) -> None:
        is_seen = True
        try:
            while chunk := _read(read):
                with contextlib.suppress(OSError):  # a full disk ends no script
                    os.write(self._log, chunk)
                try:
                    if is_seen:
                        _write(sink, chunk)
                except BrokenPipeError:
                    return
                except OSError:
                    is_seen = False  # its terminal was closed; the log goes on
        finally:
            os.close(read)


class Inherited:
    """The streams of this process itself: they lead to a log already."""

    stdin: int | None = subprocess.DEVNULL
    kept: tuple[str, ...] = ()

    def open(self) -> tuple[int | None, int | None]:
        """Return nothing new."""
        return None, None

    def begin(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


def _ends_for(sink: int) -> tuple[int, int]:
    """Return what we read and what the child writes to: a terminal like `sink`, else a pipe."""
    if not os.isatty(sink):
        return os.pipe()
    import pty
    import termios

    read, write = pty.openpty()
    state = termios.tcgetattr(write)
    state[1] &= ~termios.OPOST  # the terminal behind it makes the line ends
    termios.tcsetattr(write, termios.TCSANOW, state)
    with contextlib.suppress(OSError):
        termios.tcsetwinsize(write, termios.tcgetwinsize(sink))
    return read, write


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""  # so a terminal says that nobody writes to it any more


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
