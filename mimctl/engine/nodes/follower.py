"""A node that is not the first: it does as the first one says, as long as that one is there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from mimctl.engine.nodes.address import own_address
from mimctl.engine.nodes.line import SILENT_AFTER_FAILURE_S, SILENT_S
from mimctl.engine.nodes.team import POLL_S, Attempt, Member
from mimctl.engine.nodes.verdict import Outcome, Verdict, decide, node_lost
from mimctl.engine.ranks.errors import read_error

_FLUSH_S = 1.0


class Follower(Member):
    """A node of rank 1 or more."""

    def gather(self, join_s: float) -> None:
        """Wait until the first node has seen all; raise what it refuses the run for."""
        self.address = own_address(self.place.host, self.place.port)
        self.line.tell(address=self.address)
        self._orders(0)  # the first node decides how long is long enough

    def begin(self, number: int, *, resumes: bool) -> Attempt:
        self.attempt = number
        self.line.tell(attempt=number, is_failing=False, outcome=None)
        orders = self._orders(number)
        return self.attempt_at(int(orders["port"]), resumes=bool(orders["resumes"]))

    def has_failed_elsewhere(self) -> bool:
        page = self._page()
        is_failing = page.get("attempt") == self.attempt and bool(page.get("is_failing"))
        return is_failing or str(self.attempt) in _verdicts(page) or self._is_first_gone(SILENT_S)

    def tell_failure(self) -> None:
        self.line.tell(is_failing=True)

    def settle(self, outcome: Outcome, restarts_left: int) -> Verdict:
        self.line.tell(outcome=outcome.to_json(), is_failing=outcome.kind != "done")
        limit = time.monotonic() + (_FLUSH_S if outcome.kind == "asked" else float("inf"))
        while time.monotonic() < limit:
            if told := _verdicts(self._page()).get(str(self.attempt)):
                verdict = Verdict(**told)
                self.line.tell(has_left=not verdict.starts_again)
                return verdict
            if self._is_first_gone(SILENT_S if outcome.kind == "done" else SILENT_AFTER_FAILURE_S):
                break
            time.sleep(POLL_S)
        return decide({0: None, self.node: outcome}, {0: self.host_of(0), self.node: self.host})

    def _orders(self, attempt: int) -> Mapping[str, Any]:
        while (page := self._page()).get("attempt") != attempt:
            if refusal := page.get("refusal"):
                self.line.tell(has_left=True)
                self.line.flush()
                raise read_error(refusal)
            if self._is_first_gone(SILENT_S):
                raise node_lost([0], {0: self.host_of(0)})
            time.sleep(POLL_S)
        return page

    def _page(self) -> Mapping[str, Any]:
        return self.line.page(0) or {}

    def _is_first_gone(self, patience_s: float) -> bool:
        return self.line.is_broken or self.line.is_silent(0, patience_s)


def _verdicts(page: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the first node has decided on each attempt, by its number as text."""
    found: Mapping[str, Any] = page.get("verdicts", {})
    return found
