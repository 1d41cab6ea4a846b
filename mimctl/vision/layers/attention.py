"""Attention over channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import BaseModule


class ChannelAttention(BaseModule):
    """Weigh channels by a hard sigmoid of their transformed means (RTMDet, Lyu et al. 2022)."""

    def __init__(self, channels: int, init_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__(init_cfg)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Conv2d(channels, channels, 1, 1, 0, bias=True)
        self.act = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed (N, C, H, W) input."""
        # The mean is taken in float32: half precision would overflow on large maps.
        with torch.autocast(x.device.type, enabled=False):
            mean = self.global_avgpool(x.float() if x.dtype == torch.float16 else x)
        weights: Tensor = self.act(self.fc(mean))
        return x * weights
