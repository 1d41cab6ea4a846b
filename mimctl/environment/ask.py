"""Ask a program of the machine for a few lines, and never wait longer for it than was meant.

A driver that hangs leaves nvidia-smi where not even SIGKILL ends it; so nobody waits for a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess

_MOST_BYTES = 1 << 20


class Answer(NamedTuple):
    """What a program said; `problem` where it is no answer: `exited 9`, `gave no answer in 15 s`."""

    text: str = ""
    problem: str | None = None


def ask(argv: Sequence[str], *, timeout_s: float, environ: Mapping[str, str] | None = None) -> Answer:
    """Return a program's stdout, at most 1 MiB of it; never raises for what the program does."""
    import subprocess

    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=None if environ is None else dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as err:
        return Answer(problem=f"cannot be started ({type(err).__name__})")
    assert process.stdout is not None
    try:
        text, problem = _read(process.stdout.fileno(), until=time.monotonic() + timeout_s)
        if problem is None:
            process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        problem = "closed its output and went on"
    except BaseException:  # Ctrl-C: the program runs in a session of its own and does not hear it
        _kill(process)
        raise
    finally:
        process.stdout.close()
    if problem is not None:
        _kill(process)
    if problem is not None:
        return Answer(problem=f"{problem} in {timeout_s:g} s" if problem == _SILENT else problem)
    if process.returncode != 0:
        return Answer(text=text, problem=f"exited {process.returncode}")
    return Answer(text=text)


_SILENT = "gave no answer"


def _read(stdout: int, *, until: float) -> tuple[str, str | None]:
    """Return what is said up to the end, or a problem; a grandchild that keeps the pipe open counts as silence."""
    import select

    found = bytearray()
    while len(found) <= _MOST_BYTES:
        left = until - time.monotonic()
        if left <= 0 or not select.select([stdout], [], [], left)[0]:
            return "", _SILENT
        piece = os.read(stdout, 1 << 16)
        if not piece:
            return found.decode("utf-8", "replace"), None
        found += piece
    return "", f"said more than {_MOST_BYTES >> 20} MiB"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started, also where it has ended before them."""
    import signal
    import subprocess

    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.2)


def read_text(path: os.PathLike[str] | str, *, most_bytes: int = _MOST_BYTES) -> str:
    """Return the beginning of a file, the empty text where it cannot be read: facts come from odd places."""
    try:
        # A device or a pipe in the place of a file would be waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return ""
    try:
        return os.read(handle, most_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)
