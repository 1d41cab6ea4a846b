"""Regularisation by leaving out: whole residual branches (DropPath) or single values (Dropout)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.registry import MODELS


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set whole samples of a batch to zero with `drop_prob` and scale the others up (Huang et al. 2016)."""
    if drop_prob == 0.0 or not training:
        return x
    kept = 1 - drop_prob
    mask = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).add_(kept).floor_()
    return x.div(kept) * mask


@MODELS.register_module()
class DropPath(nn.Module):
    """Leave out a residual branch for each sample with `drop_prob`."""

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch's output, or zeros."""
        return drop_path(x, self.drop_prob, self.training)


@MODELS.register_module()
class Dropout(nn.Dropout):
    """`nn.Dropout` whose probability is called `drop_prob`."""

    def __init__(self, drop_prob: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p=drop_prob, inplace=inplace)


def build_dropout(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the layer of a config such as `dict(type='DropPath', drop_prob=0.1)`."""
    layer: nn.Module = MODELS.build(cfg, default_args=default_args)
    return layer
