"""Who holds something: enough about a process to tell later, on this host, whether it still lives."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One process. A number alone is not enough: numbers are given anew, and other hosts have the same ones."""

    host: str
    pid: int
    started: str
    """When the process started, in the words of the system; empty where that cannot be known."""
    since: str
    """When it began the change: `2026-03-01 12:00:00 +0100`."""
    machine: str = ""
    boot: str = ""
    """Changes whenever the machine starts; empty where the system has none."""
    namespace: str = ""
    """The set of processes that sees this number: containers have their own."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Owner:
        """Read what `to_dict` wrote; raises KeyError, TypeError or ValueError for anything else."""
        words = {name: str(data[name]) for name in ("host", "started", "since", "machine", "boot", "namespace")}
        return cls(pid=int(str(data["pid"])), **words)


def this_process() -> Owner:
    """Return who we are."""
    return Owner(
        host=_host(),
        pid=os.getpid(),
        started=_started(os.getpid()) or "",
        since=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        machine=_first_line("/etc/machine-id"),
        boot=_first_line("/proc/sys/kernel/random/boot_id"),
        namespace=_namespace(),
    )


def is_alive(owner: Owner) -> bool | None:
    """Return whether the process still runs; None where this cannot be seen from here (another host or container)."""
    boot, machine = _first_line("/proc/sys/kernel/random/boot_id"), _first_line("/etc/machine-id")
    if owner.host != _host() or owner.machine != machine:
        return None
    if owner.boot != boot:
        return False  # this machine has been started anew since
    if owner.namespace != _namespace() or not hasattr(os, "getuid"):
        return None
    started = _started(owner.pid)
    if started is None:
        return None if _exists(owner.pid) else False
    return started == owner.started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _host() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket

    return socket.gethostname()


def _started(pid: int) -> str | None:
    """Return when a process started, `ended` for one that only waits to be forgotten, None where it is not seen."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return "ended" if fields[0] in ("Z", "X") else fields[19]
    import subprocess

    argv = ["ps", "-o", "lstart=", "-p", str(pid)]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError:
        return None
    return " ".join(answer.stdout.split()) or None


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
