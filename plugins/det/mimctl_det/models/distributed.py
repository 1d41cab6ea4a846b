"""Figures that all ranks must agree on in the middle of a forward pass."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all ranks (itself with one rank), without a gradient."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value.detach()
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
