"""Tensors that ranks hold parts of (torch's DTensor): put together for a checkpoint, split again after one.

What makes such tensors is imported by torch only where a model is split; nothing here imports it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from torch import Tensor, nn


def is_split(tensor: object) -> bool:
    """Say whether a tensor is one that ranks hold parts of (a DTensor), without importing what makes such."""
    return hasattr(tensor, "full_tensor") and hasattr(tensor, "placements")


def has_split_parameters(model: nn.Module) -> bool:
    """Say whether the ranks hold parts of a model's parameters."""
    return any(is_split(each) for each in model.parameters())


def put_together(value: Any) -> Any:
    """Return nested data with every split tensor whole and on the CPU; every rank must call it."""
    if is_split(value):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: put_together(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(put_together(each) for each in value)
    return value


def split_like(value: Any, held: object) -> Any:
    """Return a whole tensor split as `held` is; `value` itself where `held` is not split. Every rank must call it."""
    if not is_split(held) or not isinstance(value, Tensor) or is_split(value) or value.shape != held.shape:  # type: ignore[attr-defined]
        return value
    from torch.distributed.tensor import distribute_tensor

    target: Any = held
    value = value.to(device=target.device, dtype=target.dtype)
    # Each rank has the whole value: where torch can (2.7 and later) it takes its part without an exchange.
    local: Any = {"src_data_rank": None} if "src_data_rank" in signature(distribute_tensor).parameters else {}
    return distribute_tensor(value, target.device_mesh, target.placements, **local)


def split_optimizer_state(state: Mapping[str, Any], parameters: Sequence[Tensor]) -> dict[str, Any]:
    """Return an optimizer's state dict with what belongs to split parameters split as they are."""
    return {
        **state,
        "state": {
            number: {name: split_like(value, parameters[number]) for name, value in entry.items()}
            for number, entry in state["state"].items()
        },
    }
