"""Where ranks meet, looked up before they wait there: torch gives a name that means nothing half an hour."""

from __future__ import annotations

import os
import socket
import time

from mimctl.errors import MimctlError

PATIENCE_S = 6.0
"""A name service that has just started a node may need a moment."""
PAUSE_S = 1.0


def require_meeting_place() -> None:
    """Raise MimctlError[no-meeting-place] where this machine has not found the host `MASTER_ADDR` in six seconds."""
    host = os.environ.get("MASTER_ADDR")
    if host is not None:
        find_host(host, os.environ.get("MASTER_PORT", "0"))


def find_host(host: str, port: str | int) -> None:
    """Raise MimctlError[no-meeting-place] where this machine has not found a host in six seconds."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if not 0 <= int(port) <= 65535:
                raise ValueError(f"{port} is no port")
            socket.getaddrinfo(host, int(port))
            return
        except (OSError, ValueError, UnicodeError) as err:
            if time.monotonic() + PAUSE_S > deadline or isinstance(err, ValueError):
                raise MimctlError(
                    f"ranks cannot meet at `{host}:{port}`",
                    code="no-meeting-place",
                    causes=[f"on {socket.gethostname()}: {err}"],
                    hints=["name a host that every node can find (`--rdzv-endpoint`; under Slurm MASTER_ADDR)"],
                ) from err
            time.sleep(PAUSE_S)


def require_free_port(port: int, *, host: str = "", hint: str) -> None:
    """Raise MimctlError[port-in-use] where a port is taken: its owner may be another run. Port 0 is any free one.

    `host` is whose address is looked at, by default all of this machine's.
    """
    if port == 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as err:
            raise MimctlError(
                f"port {port} is taken", code="port-in-use", causes=[err.strerror or str(err)], hints=[hint]
            ) from err
