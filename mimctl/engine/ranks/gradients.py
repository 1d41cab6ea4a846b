"""Gradients that a step is still collecting: until it comes each rank has its own, and a checkpoint holds them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.ranks import distributed

State = dict[str, Any]


def gather_gradients(state: Mapping[str, Any]) -> State:
    """Return an optimizer wrapper's state with the `gradients` of all ranks in `rank_gradients`, on rank 0.

    Every rank must call it. The state of several wrappers is a dict of states by name.
    """
    if distributed.get_world_size() == 1:
        return dict(state)
    state = {name: gather_gradients(each) if _is_state(each) else each for name, each in state.items()}
    if "gradients" in state:
        state["rank_gradients"] = distributed.gather_object(state.pop("gradients")) or []
    return state


def own_gradients(state: Mapping[str, Any]) -> State:
    """Return a state with this rank's `gradients` out of `rank_gradients`; of other numbers of ranks, their mean."""
    state = {name: own_gradients(each) if _is_state(each) else each for name, each in state.items()}
    ranks: list[list[Tensor | None]] = state.pop("rank_gradients", [])
    if len(ranks) == distributed.get_world_size() > 1:
        state["gradients"] = ranks[distributed.get_rank()]
    elif ranks:
        state["gradients"] = [_mean(each) for each in zip(*ranks, strict=True)]
    return state


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and "param_groups" in value


def _mean(gradients: tuple[Tensor | None, ...]) -> Tensor | None:
    held = [each for each in gradients if each is not None]
    return torch.stack(held).sum(0) / len(gradients) if held else None
