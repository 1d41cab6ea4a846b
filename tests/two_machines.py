"""Two machines, as far as processes can tell: network namespaces with a cable between them, a name for each.

Each finds its own name at 127.0.1.1, as Debian installs it: who tells others where it is by that name is not found.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("left", "right")
_START = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Machine:
    """One of the two; `name` is its host's name."""

    name: str
    namespace: str
    hosts: Path

    def start(
        self, argv: list[str], *, cwd: Path, environment: Mapping[str, str], output: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program there, its output in a file; it is a session of its own, as in a terminal of its own."""
        inside = ["unshare", "--mount", "--uts", "sh", "-c", _START, "sh", str(self.hosts), self.name, *argv]
        with output.open("wb") as stream:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *inside],
                cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip

    def mimctl(self, *words: object, cwd: Path, output: Path, **more: str) -> subprocess.Popen[bytes]:
        """Start mimctl there."""
        environment = {**os.environ, "MIMCTL_HOME": str(cwd / f"home-{self.name}"), "OMP_NUM_THREADS": "1", **more}
        environment["MIMCTL_PYTHON"] = sys.executable
        argv = [sys.executable, "-P", "-m", "mimctl", *map(str, words)]
        return self.start(argv, cwd=cwd, environment=environment, output=output)

    def pids(self) -> list[int]:
        """Return the processes that run there."""
        done = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True)
        return [int(each) for each in done.stdout.split()]

    def unplug(self) -> None:
        """Take the cable out."""
        _ip("-n", self.namespace, "link", "set", "wire", "down")


@contextlib.contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Make the two machines, and end all that runs on them afterwards; skip the test where that is not permitted."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "mount"))):
        pytest.skip("network namespaces need root, and the programs of iproute2 and util-linux")
    spaces = [f"mim-{os.getpid()}-{name}" for name in NAMES]
    machines = []
    try:
        for number, space in enumerate(spaces):
            hosts = folder / f"hosts-{NAMES[number]}"
            other = 1 - number
            hosts.write_text(f"127.0.0.1 localhost\n127.0.1.1 {NAMES[number]}\n10.213.7.{other + 1} {NAMES[other]}\n")
            if _ip("netns", "add", space, check=False) != 0:
                pytest.skip("network namespaces are not permitted here")
            machines.append(Machine(NAMES[number], space, hosts))
        _ip("-n", spaces[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", spaces[1])
        for number, space in enumerate(spaces):
            _ip("-n", space, "addr", "add", f"10.213.7.{number + 1}/24", "dev", "wire")
            for link in ("lo", "wire"):
                _ip("-n", space, "link", "set", link, "up")
        yield machines[0], machines[1]
    finally:
        for machine in machines:
            for pid in machine.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _ip("netns", "delete", machine.namespace, check=False)


def _ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode
