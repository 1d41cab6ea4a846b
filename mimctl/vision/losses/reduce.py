"""From losses of single elements to one figure."""

from __future__ import annotations

import torch
from torch import Tensor


def weight_reduce_loss(
    loss: Tensor, weight: Tensor | None = None, reduction: str = "mean", avg_factor: float | Tensor | None = None
) -> Tensor:
    """Return `loss` times `weight`, reduced by 'none', 'mean' or 'sum'.

    With `avg_factor` the mean is the sum over it (plus float32's epsilon, against zero); 'sum' with it is an error.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"`reduction` must be 'none', 'mean' or 'sum', not {reduction!r}")
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if avg_factor is None:
        return loss.mean() if reduction == "mean" else loss.sum()
    if reduction == "sum":
        raise ValueError("`avg_factor` makes no sense with reduction 'sum'")
    return loss.sum() / (avg_factor + torch.finfo(torch.float32).eps)
