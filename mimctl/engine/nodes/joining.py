"""How the agents of several nodes find each other: at one host and port, before any rank is started."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mimctl.engine.ranks.meeting import find_host, require_free_port
from mimctl.errors import MimctlError
from mimctl.spec import RunSpec

JOIN_S = 600.0
"""Seconds that a node waits for the others: people start them one after the other."""
REACH_S = 10.0
"""Seconds in which the first node has to reach itself at the address that it was given."""
TOLD_AFTER_S = 3.0
_KNOCK_S = 3.0
_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which of the nodes this one is, and where all of them meet."""

    node: int
    num_nodes: int
    host: str
    port: int


def place_of(spec: RunSpec) -> Place:
    """Return this node's place: what was typed, or what Slurm says to a task of `--elastic`."""
    facts = spec.launcher
    if facts.kind == "slurm":
        node, host, port = os.environ["SLURM_NODEID"], os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    else:
        node = str(facts.node_rank)
        host, _, port = str(facts.rdzv_endpoint).rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise MimctlError(f"`{host}:{port}` is no place to meet", code="no-meeting-place")
    return Place(node=int(node), num_nodes=facts.num_nodes, host=host.strip("[]"), port=int(port))


def open_store(place: Place, *, join_s: float = JOIN_S) -> Any:
    """Return the store of all nodes: the first one keeps it, the others connect to it.

    Raises MimctlError[no-meeting-place] where the host is not known within six seconds, is not this machine (first
    node) or does not answer in `join_s` seconds, [port-in-use] where another program has the port.
    """
    find_host(place.host, place.port)
    if place.node == 0:
        return keep_store(place.host, place.port)
    _wait_for_first(place, join_s)
    try:
        return _store(place.host, place.port, timeout=timedelta(seconds=30))
    except Exception as err:  # torch's errors of connections have no common type over its versions
        raise _no_place(place, str(err), "is another program listening there?") from err


def keep_store(host: str, port: int) -> Any:
    """Return a store that this process keeps for others; port 0 is a free one."""
    require_free_port(port, hint="name another one on all nodes: `--rdzv-endpoint HOST:PORT`")
    try:
        return _store(host, port, is_master=True, timeout=timedelta(seconds=REACH_S))
    except Exception as err:  # as above
        place = Place(node=0, num_nodes=1, host=host, port=port)
        hint = "`--rdzv-endpoint` names the machine that has `--node-rank 0`"
        raise _no_place(place, "this node, the first one, does not reach itself there", hint) from err


def _store(host: str, port: int, **options: Any) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(host, port, wait_for_workers=False, **options)


def _wait_for_first(place: Place, join_s: float) -> None:
    begun = time.monotonic()
    is_told = False
    while True:
        try:
            socket.create_connection((place.host, place.port), timeout=_KNOCK_S).close()
            return
        except OSError as err:
            waited = time.monotonic() - begun
            if waited > join_s:
                hint = "start the run with `--node-rank 0` on that host, and let no firewall close the port"
                raise _no_place(place, f"{err.strerror or err}, for {join_s:.0f} s", hint) from err
            if waited > TOLD_AFTER_S and not is_told:
                is_told = True
                say(f"node {place.node} waits for node 0 at {place.host}:{place.port} ({err.strerror or err})")
        time.sleep(_PAUSE_S)


def _no_place(place: Place, cause: str, hint: str) -> MimctlError:
    return MimctlError(
        f"nodes cannot meet at `{place.host}:{place.port}`",
        code="no-meeting-place",
        causes=[f"on {socket.gethostname()}, node {place.node}: {cause}"],
        hints=[hint],
    )


def say(text: str) -> None:
    """Tell whoever watches the agent."""
    print(text, file=sys.stderr, flush=True)
