"""End what a run has started where the process that looks after it was killed and could not do so itself.

`python -P -m mimctl.launch.processes.guard PID STARTED` waits beside a run until nobody holds the other end of its
stdin.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from mimctl.launch.processes.process_table import descendants, end_all, start_time

GRACE_S = 3.0
"""Seconds between SIGTERM, at which a training saves its state, and SIGKILL for all that is left."""
_POLL_S = 0.05


class Guard:
    """A process that ends `process` and all that it has started when this one is gone.

    A run goes without one where there is no table of processes, or no room for another.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        started = start_time(process.pid)
        with contextlib.suppress(OSError):
            self._process = _start(process.pid, started) if started else None

    def dismiss(self) -> None:
        """End the guard: the run has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _start(pid: int, started: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "mimctl.launch.processes.guard", str(pid), started],
        stdin=subprocess.PIPE,  # nobody else inherits our end: the system closes it with this process
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(argv: list[str] | None = None) -> int:
    """Wait, then end the process that the arguments name, and those below it."""
    pid, started = sys.argv[1:] if argv is None else argv
    while os.read(0, 1):
        pass
    end(int(pid), started)
    return 0


def end(pid: int, started: str) -> None:
    """Send a process SIGTERM; when it has ended, or its time is up, SIGKILL it, those below it and its group."""
    if start_time(pid) != started:
        return
    family = {pid: started, **descendants(pid)}
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while start_time(pid) == started and time.monotonic() < deadline:
        family |= descendants(pid)
        time.sleep(_POLL_S)
    end_all(family)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
