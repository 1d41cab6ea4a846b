"""By which of its interfaces a machine reaches another.

Gloo takes the address that the host's own name has. Where that is 127.0.1.1, as Debian installs it, no other node finds
it; torch then waits, or says that a connection was refused.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess

GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915


def own_address(host: str, port: int) -> str | None:
    """Return this machine's IPv4 address on the way to a host, None where there is no way; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def interface_of(address: str) -> str | None:
    """Return the network interface that has an IPv4 address (Linux), None where none has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an address
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return None


def choose_interface_of_task() -> None:
    """Let gloo take the way to another node of a Slurm job where this host's own name leads nowhere.

    What the user has said stays; so does all where Slurm's commands are not at hand (in a container).
    """
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST", "")
    is_several = int(os.environ.get("SLURM_STEP_NUM_NODES") or os.environ.get("SLURM_NNODES") or 1) > 1
    if not is_several or GLOO_INTERFACE in os.environ or _is_known(socket.gethostname()):
        return
    try:
        line = ["scontrol", "show", "hostnames", nodes]
        names = subprocess.run(line, capture_output=True, text=True, timeout=10).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return
    other = next((name for place, name in enumerate(names) if str(place) != os.environ.get("SLURM_NODEID")), None)
    address = own_address(other, 1) if other is not None else None
    if address is not None and (name := interface_of(address)) is not None:
        os.environ[GLOO_INTERFACE] = name


def _is_known(host: str) -> bool:
    try:
        return not socket.gethostbyname(host).startswith("127.")
    except OSError:
        return False
