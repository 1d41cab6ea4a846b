"""Learnable factors: one for a whole tensor, or one a channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mimctl.engine.registry import MODELS


@MODELS.register_module()
class Scale(nn.Module):
    """Multiply by one learnable factor."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` times the factor."""
        return x * self.scale


@MODELS.register_module()
class LayerScale(nn.Module):
    """Multiply each channel by a learnable factor; channels come last, or first after the batch."""

    def __init__(
        self, dim: int, inplace: bool = False, data_format: str = "channels_last", scale: float = 1e-5
    ) -> None:
        super().__init__()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"`data_format` must be 'channels_last' or 'channels_first', not {data_format!r}")
        self.inplace, self.data_format = inplace, data_format
        self.weight = nn.Parameter(torch.ones(dim) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` times the factors."""
        weight = self.weight if self.data_format == "channels_last" else self.weight.view(-1, *(1,) * (x.ndim - 2))
        return x.mul_(weight) if self.inplace else x * weight
