"""Machines, as far as processes can tell: network namespaces with cables to one switch, a host name for each.

Each finds its own name at 127.0.1.1, as Debian installs it: who tells others where it is by that name is not found.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_START = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Machine:
    """One of them; `name` is its host's name, `gateway` the address of the machine that the tests run on."""

    name: str
    namespace: str
    hosts: Path
    address: str
    gateway: str

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Return the line that starts a program there."""
        own = ["unshare", "--mount", "--uts", "sh", "-c", _START, "sh", str(self.hosts), self.name, *argv]
        return ["ip", "netns", "exec", self.namespace, *own]

    def start(
        self, argv: list[str], *, cwd: Path, environment: Mapping[str, str], output: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program there, its output in a file; it is a session of its own, as in a terminal of its own."""
        with output.open("wb") as stream:
            return subprocess.Popen(
                self.inside(argv), cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, start_new_session=True,
            )  # fmt: skip

    def mimctl(self, *words: object, cwd: Path, output: Path, **more: str) -> subprocess.Popen[bytes]:
        """Start mimctl there."""
        environment = {**os.environ, "MIMCTL_HOME": str(cwd / f"home-{self.name}"), "OMP_NUM_THREADS": "1", **more}
        environment["MIMCTL_PYTHON"] = sys.executable
        argv = [sys.executable, "-P", "-m", "mimctl", *map(str, words)]
        return self.start(argv, cwd=cwd, environment=environment, output=output)

    def pids(self) -> list[int]:
        """Return the processes that run there."""
        done = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True)
        return [int(each) for each in done.stdout.split()]

    def unplug(self) -> None:
        """Take the cable out."""
        _ip("-n", self.namespace, "link", "set", "wire", "down")


@contextlib.contextmanager
def machines(folder: Path, names: Sequence[str]) -> Iterator[list[Machine]]:
    """Make machines, and end all that runs on them afterwards; skip the test where that is not permitted."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "mount"))):
        pytest.skip("network namespaces need root, and the programs of iproute2 and util-linux")
    switch, network = _make_switch()
    made: list[Machine] = []
    try:
        for number, name in enumerate(names):
            others = [f"{network}.{place + 1} {other}\n" for place, other in enumerate(names) if other != name]
            hosts = folder / f"hosts-{name}"
            hosts.write_text("".join(["127.0.0.1 localhost\n", f"127.0.1.1 {name}\n", *others]))
            space = f"{switch}-{name}"
            _ip("netns", "add", space)
            made.append(Machine(name, space, hosts, f"{network}.{number + 1}", f"{network}.254"))
            _ip("link", "add", f"{switch}{number}", "type", "veth", "peer", "name", "wire", "netns", space)
            _ip("link", "set", f"{switch}{number}", "master", switch, "up")
            _ip("-n", space, "addr", "add", f"{network}.{number + 1}/24", "dev", "wire")
            for link in ("lo", "wire"):
                _ip("-n", space, "link", "set", link, "up")
        yield made
    finally:
        for machine in made:
            for pid in machine.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _ip("netns", "delete", machine.namespace, check=False)
        _ip("link", "delete", switch, check=False)


def _make_switch() -> tuple[str, str]:
    """Make a bridge that nobody else has, with an address; return its name and the network (three of four numbers)."""
    for number in range(os.getpid() % 200, os.getpid() % 200 + 50):
        name, network = f"mim{number}", f"10.213.{number}"
        if _ip("link", "add", name, "type", "bridge", check=False) == 0:
            _ip("addr", "add", f"{network}.254/24", "dev", name)
            _ip("link", "set", name, "up")
            return name, network
    pytest.skip("networks cannot be made here")


def _ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode
