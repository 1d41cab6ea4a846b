"""The agents of a run, one a node: each attempt begins on all of them, and ends on all of them alike."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from mimctl.engine.nodes.address import interface_of
from mimctl.engine.nodes.joining import Place, open_store
from mimctl.engine.nodes.line import Line
from mimctl.engine.nodes.verdict import Outcome, Verdict, decide
from mimctl.engine.ranks.place import RankPlace
from mimctl.errors import MimctlError

POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that begins on all nodes."""

    place: RankPlace
    resumes: bool
    """Whether it goes on from what an attempt before has saved."""


class Alone(AbstractContextManager["Alone"]):
    """The one node of a run, which has nobody to agree with."""

    node = 0

    def begin(self, number: int, *, resumes: bool) -> Attempt:
        """Begin the attempt of a number, from 0; whether it `resumes` is what the first node says."""
        return Attempt(place=RankPlace(attempt=number), resumes=resumes)

    def has_failed_elsewhere(self) -> bool:
        """Say whether the ranks of this attempt have to end because of another node."""
        return False

    def tell_failure(self) -> None:
        """Let the other nodes end their ranks."""

    def settle(self, outcome: Outcome, restarts_left: int) -> Verdict:
        """Return how the attempt has ended on all nodes."""
        return decide({0: outcome}, {0: socket.gethostname()}, restarts_left)

    def __exit__(self, *exc: object) -> None:
        return None


class Member(Alone):
    """One of several nodes, connected to the store of all."""

    def __init__(self, place: Place, facts: Mapping[str, Any], *, join_s: float) -> None:
        self.place = place
        self.node = place.node
        self.host = socket.gethostname()
        self.facts = dict(facts)
        self.others = [each for each in range(place.num_nodes) if each != place.node]
        self.attempt = -1
        self.address: str | None = None
        self._store = open_store(place, join_s=join_s)
        self._require_untaken()
        self.line = Line(self._store, self.node, self.others if self.node == 0 else [0])
        self.line.tell(host=self.host, facts=self.facts, attempt=-1)
        self.line.start()

    def __exit__(self, *exc: object) -> None:
        self.line.flush()
        self.line.close()

    def attempt_at(self, port: int, *, resumes: bool) -> Attempt:
        """Return the attempt that begins now, whose ranks have their store at a port of the first node."""
        place = RankPlace(
            attempt=self.attempt,
            node=self.node,
            num_nodes=self.place.num_nodes,
            host=self.place.host,
            port=port,
            interface=interface_of(self.address) if self.address is not None else None,
        )
        return Attempt(place=place, resumes=resumes)

    def host_of(self, node: int) -> str:
        """Return the name of another node's machine."""
        return str((self.line.page(node) or {}).get("host", self.place.host if node == 0 else "?"))

    def _require_untaken(self) -> None:
        if self._store.add(f"mimctl/taken/{self.node}", 1) > 1:
            raise MimctlError(
                f"there are two nodes with `--node-rank {self.node}`",
                code="nodes-differ",
                causes=[f"this is {self.host}"],
                hints=[f"give each its own, from 0 to {self.place.num_nodes - 1}"],
            )


def wait_until(is_so: Callable[[], bool], timeout_s: float) -> None:
    """Wait until something is so, at most so long."""
    limit = time.monotonic() + timeout_s
    while not is_so() and time.monotonic() < limit:
        time.sleep(POLL_S)
