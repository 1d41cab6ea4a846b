"""How the ranks of each node ended, and what all nodes make of it together (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from mimctl.engine.ranks.errors import LOST, TIMEOUT
from mimctl.errors import ExitCode, MimctlError

DIED, NODE_LOST = "rank-died", "node-lost"
_TERMINATED = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the ranks of one node ended.

    `stopped`: they were ended because those of another node had failed. `asked`: a signal asks for `code` (128 + n).
    """

    kind: Literal["done", "failed", "stopped", "asked"]
    code: int = 0
    error: Mapping[str, Any] | None = None
    """What failed, as `MimctlError.to_dict` says it."""
    is_leaving: bool = False
    """A signal has asked this node to stop: ranks that fail now are not started again."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an attempt ended, the same on all nodes."""

    code: int
    error: Mapping[str, Any] | None = None
    starts_again: bool = False


def failed(error: MimctlError, *, is_leaving: bool = False) -> Outcome:
    """Return the outcome of ranks that ended with an error."""
    return Outcome(kind="failed", code=int(error.exit_code), error=error.to_dict(), is_leaving=is_leaving)


def decide(outcomes: Mapping[int, Outcome | None], hosts: Mapping[int, str], restarts_left: int = 0) -> Verdict:
    """Return what the outcomes of all nodes, by their rank, come to; None is a node that answers no more.

    The error of the one that began is everybody's: a rank that was killed or told of its own error comes before ranks
    that lost another or waited for it, and a node that is gone explains these.
    """
    told = [(_weight(each.error), node, each) for node, each in outcomes.items() if each is not None and each.error]
    told.sort(key=lambda found: found[:2])
    lost = [node for node, each in outcomes.items() if each is None]
    asked = [(node, each) for node, each in outcomes.items() if each is not None and each.kind == "asked"]
    is_consequence = not told or told[0][0] >= _WEIGHTS[TIMEOUT]
    if asked and is_consequence:
        node, outcome = asked[0]
        is_all = len(asked) == len(outcomes)
        return Verdict(code=outcome.code, error=None if is_all else stopped_by(node, hosts, outcome.code).to_dict())
    if lost and is_consequence:
        error = node_lost(lost, hosts)
        return Verdict(code=int(error.exit_code), error=error.to_dict())
    if told:
        outcome = told[0][2]
        is_leaving = any(each.is_leaving for each in outcomes.values() if each is not None)
        again = restarts_left > 0 and not lost and not is_leaving and outcome.code != ExitCode.USAGE
        return Verdict(code=outcome.code, error=outcome.error, starts_again=again)
    return Verdict(code=max(each.code for each in outcomes.values() if each is not None))


def node_lost(nodes: list[int], hosts: Mapping[int, str]) -> MimctlError:
    """Return the error for nodes that answer no more."""
    names = ", ".join(f"node {node} ({hosts.get(node, '?')})" for node in nodes)
    return MimctlError(
        f"{names} answers no more" if len(nodes) == 1 else f"{names} answer no more",
        code=NODE_LOST,
        causes=["its agent was killed, its machine is down, or the network between the nodes is"],
        hints=["start the run on all nodes again with `--resume`"],
        details={"nodes": nodes, "hosts": [hosts.get(node) for node in nodes]},
    )


def stopped_by(node: int, hosts: Mapping[int, str], code: int) -> MimctlError:
    """Return what the other nodes tell of one that was asked to stop."""
    how = "interrupted" if code == ExitCode.INTERRUPTED else "terminated"
    return MimctlError(
        f"the run was {how} on node {node} ({hosts.get(node, '?')})",
        code="terminated",
        exit_code=code,
        details={"node": node, "host": hosts.get(node)},
    )


_WEIGHTS = {TIMEOUT: 3, LOST: 4}


def _weight(error: Mapping[str, Any]) -> int:
    """Return how far an error is from being the cause of the others, as `culprit` ranks those of one node."""
    if error["code"] == DIED:
        return 0 if int(error["exit_code"]) > 128 else 2
    return _WEIGHTS.get(error["code"], 1)
