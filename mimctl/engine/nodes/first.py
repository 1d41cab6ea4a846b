"""The first node: it keeps the store, waits for the others, and decides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mimctl.engine.nodes.address import own_address
from mimctl.engine.nodes.joining import TOLD_AFTER_S, Place, keep_store, say
from mimctl.engine.nodes.line import SILENT_AFTER_FAILURE_S, SILENT_S
from mimctl.engine.nodes.team import POLL_S, Attempt, Member, wait_until
from mimctl.engine.nodes.verdict import Outcome, Verdict, decide
from mimctl.errors import MimctlError

_FAREWELL_S = 3.0
"""Seconds that the others have to read the end before the store is gone."""


class First(Member):
    """The node of rank 0.

    `gather` raises MimctlError[node-missing] where another does not come, [nodes-differ] where one was started
    otherwise.
    """

    def __init__(self, place: Place, facts: Mapping[str, Any], *, join_s: float) -> None:
        self._verdicts: dict[int, dict[str, Any]] = {}
        self._ranks_store: Any = None
        super().__init__(place, facts, join_s=join_s)

    def gather(self, join_s: float) -> None:
        """Wait for all nodes and see that they were started alike."""
        self._wait_for_all(join_s)
        for other in self.others:
            self._require_alike(other)
        # The way to the meeting point is one inside of this machine, which nobody else can take.
        self.address = own_address(str(self._page(self.others[0]).get("address")), self.place.port)

    def begin(self, number: int, *, resumes: bool) -> Attempt:
        self.attempt = number
        # Ranks that meet again need a store without what the ones before have left in theirs.
        self._ranks_store = keep_store(self.place.host, 0)
        port = int(self._ranks_store.port)
        self.line.tell(attempt=number, port=port, resumes=resumes, is_failing=False)
        return self.attempt_at(port, resumes=resumes)

    def has_failed_elsewhere(self) -> bool:
        is_over = any(self._of_attempt(each).get("is_failing") or self.line.is_silent(each) for each in self.others)
        if is_over:
            self.tell_failure()
        return is_over

    def tell_failure(self) -> None:
        self.line.tell(is_failing=True)

    def settle(self, outcome: Outcome, restarts_left: int) -> Verdict:
        hosts = {0: self.host, **{each: self.host_of(each) for each in self.others}}
        verdict = decide(self._collect(outcome), hosts, restarts_left)
        # All verdicts stay: another node may read the page only when the next attempt has begun.
        self._verdicts[self.attempt] = asdict(verdict)
        self.line.tell(verdicts=self._verdicts, is_failing=verdict.code != 0)
        if not verdict.starts_again:
            wait_until(lambda: all(map(self._has_left, self.others)), _FAREWELL_S)
        return verdict

    def _collect(self, own: Outcome) -> dict[int, Outcome | None]:
        """Return the outcomes of all nodes; who asked for the end waits for nobody."""
        outcomes: dict[int, Outcome | None] = {0: own}
        while own.kind != "asked" and (missing := [each for each in self.others if each not in outcomes]):
            has_failed = any(each is None or each.kind != "done" for each in outcomes.values())
            if has_failed:
                self.tell_failure()
            for other in missing:
                if told := self._of_attempt(other).get("outcome"):
                    outcomes[other] = Outcome.from_json(told)
                elif self.line.is_silent(other, SILENT_AFTER_FAILURE_S if has_failed else SILENT_S):
                    outcomes[other] = None
            time.sleep(POLL_S)
        return outcomes

    def _page(self, other: int) -> Mapping[str, Any]:
        return self.line.page(other) or {}

    def _of_attempt(self, other: int) -> Mapping[str, Any]:
        page = self._page(other)
        return page if page.get("attempt") == self.attempt else {}

    def _has_left(self, other: int) -> bool:
        return bool(self._page(other).get("has_left")) or self.line.is_silent(other, _FAREWELL_S)

    def _wait_for_all(self, join_s: float) -> None:
        begun, is_told = time.monotonic(), False
        while missing := [each for each in self.others if not self._page(each)]:
            names = ", ".join(f"node {each}" for each in missing)
            waited = time.monotonic() - begun
            if waited > join_s:
                raise self._refused(
                    MimctlError(
                        f"{names} did not come to `{self.place.host}:{self.place.port}` in {join_s:.0f} s",
                        code="node-missing",
                        hints=[f"start the same line there, with `--node-rank {missing[0]}`"],
                        details={"missing": missing},
                    )
                )
            if waited > TOLD_AFTER_S and not is_told:
                is_told = True
                say(f"node 0 waits at {self.place.host}:{self.place.port} for {names}")
            time.sleep(POLL_S)

    def _require_alike(self, other: int) -> None:
        theirs = self._page(other)["facts"]
        for name, value in self.facts.items():
            if theirs.get(name) != value:
                raise self._refused(
                    MimctlError(
                        f"the nodes were not started alike: {name}",
                        code="nodes-differ",
                        causes=[
                            f"node 0 ({self.host}) has {value!r}",
                            f"node {other} ({self.host_of(other)}) has {theirs.get(name)!r}",
                        ],
                        hints=["type the same line on each of them; only `--node-rank` differs"],
                    )
                )

    def _refused(self, error: MimctlError) -> MimctlError:
        """Tell all that are there why nothing begins, and return the error."""
        self.line.tell(refusal=error.to_dict())
        there = [each for each in self.others if self._page(each)]
        wait_until(lambda: all(map(self._has_left, there)), _FAREWELL_S)
        return error
