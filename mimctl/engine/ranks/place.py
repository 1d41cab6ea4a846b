"""What an agent tells the ranks that torch's launch cannot know: the attempt, their place among several nodes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from mimctl.engine.nodes.address import GLOO_INTERFACE

PLACE_VARIABLE = "MIMCTL_PLACE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPlace:
    """The place of one node's ranks."""

    attempt: int = 0
    """How often the ranks were started before."""
    node: int = 0
    num_nodes: int = 1
    host: str = ""
    """Where the store of all ranks is, …"""
    port: int = 0
    """… where there are several nodes."""
    interface: str | None = None
    """The network interface by which the nodes have met."""

    def to_variables(self) -> dict[str, str]:
        """Return it as a variable for the ranks' environment."""
        return {PLACE_VARIABLE: json.dumps(asdict(self))}


def take_place() -> None:
    """Correct this rank's variables: the elastic launch of its node has counted the ranks of that node alone.

    Gloo takes the way by which the nodes met, unless the user has said which.
    """
    text = os.environ.pop(PLACE_VARIABLE, None)
    if text is None:
        return
    place = RankPlace(**json.loads(text))
    found: dict[str, object] = {"TORCHELASTIC_RESTART_COUNT": place.attempt}
    if place.num_nodes > 1:
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        rank, size = place.node * each + int(os.environ["LOCAL_RANK"]), place.num_nodes * each
        found |= {"RANK": rank, "ROLE_RANK": rank, "WORLD_SIZE": size, "ROLE_WORLD_SIZE": size}
        found |= {"GROUP_RANK": place.node, "GROUP_WORLD_SIZE": place.num_nodes}
        found |= {"MASTER_ADDR": place.host, "MASTER_PORT": place.port, "TORCHELASTIC_USE_AGENT_STORE": True}
        if place.interface is not None:
            os.environ.setdefault(GLOO_INTERFACE, place.interface)
    os.environ.update({name: str(value) for name, value in found.items()})
