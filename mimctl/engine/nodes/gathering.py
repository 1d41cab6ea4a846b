"""From a specification to the team of agents that carries it out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimctl import __version__
from mimctl.engine.nodes.first import First
from mimctl.engine.nodes.follower import Follower
from mimctl.engine.nodes.joining import JOIN_S, place_of
from mimctl.engine.nodes.team import Alone
from mimctl.spec import RunSpec


def gather(spec: RunSpec, *, join_s: float = JOIN_S) -> Alone:
    """Return the team of this node, when all nodes are there and were started alike.

    Raises MimctlError where they cannot meet ([no-meeting-place], [port-in-use]), where one does not come
    ([node-missing], [node-lost]) and where they differ ([nodes-differ]).
    """
    if spec.launcher.num_nodes == 1:
        return Alone()
    place = place_of(spec)
    kind = First if place.node == 0 else Follower
    team: First | Follower = kind(place, facts_of(spec), join_s=join_s)
    try:
        team.gather(join_s)
    except BaseException:
        team.__exit__()
        raise
    return team


def facts_of(spec: RunSpec) -> dict[str, Any]:
    """Return what has to be the same on all nodes; paths may differ where disks do."""
    with _few_words():
        import torch

    return {
        "`--nnodes`": spec.launcher.num_nodes,
        "processes of a node": spec.launcher.num_procs,
        "device": spec.launcher.device,
        "mimctl": __version__,
        "torch": torch.__version__,
        "what is started": f"{spec.plugin} {spec.action}",
        "config": Path(spec.config).name if spec.config else None,
        "overrides": {key: each for key, each in spec.overrides.items() if not _is_path(each)},
        "`--seed`": spec.seed,
        "`--amp`": spec.amp,
        "`--auto-scale-lr`": spec.auto_scale_lr,
        "`--max-restarts`": spec.launcher.max_restarts,
    }


@contextlib.contextmanager
def _few_words() -> Iterator[None]:
    """Let torch, imported in the block, print no lines of its store's connections: they are pages of addresses."""
    name = "TORCH_CPP_LOG_LEVEL"
    is_mine = name not in os.environ
    os.environ.setdefault(name, "ERROR")
    yield
    if is_mine:
        del os.environ[name]  # of no concern to the ranks


def _is_path(value: object) -> bool:
    return isinstance(value, str) and "/" in value
