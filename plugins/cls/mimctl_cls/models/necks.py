"""Necks of classifiers: from feature maps to one vector for each image."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS

_POOLS: tuple[type[nn.Module], ...] = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


@MODELS.register_module()
class GlobalAveragePooling(BaseModule):
    """Average (B, C, …) over its `dim` (1, 2 or 3) last axes: (B, C), for a tensor or each of a tuple."""

    def __init__(self, dim: int = 2, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        if dim not in (1, 2, 3):
            raise ValueError(f"`dim` must be 1, 2 or 3, not {dim}")
        self.gap = _POOLS[dim - 1](1)

    def forward(self, inputs: Any) -> Any:
        """Return the averages."""
        if isinstance(inputs, Tensor):
            return self.gap(inputs).flatten(1)
        return tuple(self.gap(each).flatten(1) for each in inputs)
