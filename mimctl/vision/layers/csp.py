"""Cross stage partial blocks: half of the channels pass through the blocks, half go around (CSPNet, Wang et al. 2020).

Used by CSPDarknet, CSPNeXt and the necks of their detectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.vision.layers.attention import ChannelAttention
from mimctl.vision.layers.conv_module import Cfg, ConvModule
from mimctl.vision.layers.depthwise import DepthwiseSeparableConvModule

_BN: Mapping[str, Any] = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_SWISH: Mapping[str, Any] = {"type": "Swish"}
_SILU: Mapping[str, Any] = {"type": "SiLU"}


class DarknetBottleneck(BaseModule):
    """Reduce with 1 x 1, expand with 3 x 3, add the input where the channel counts allow."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SWISH,
        init_cfg: Cfg = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, hidden, 1, **cfgs)
        self.conv2 = conv(hidden, out_channels, 3, stride=1, padding=1, **cfgs)
        self.add_identity = add_identity and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out: Tensor = self.conv2(self.conv1(x))
        return out + x if self.add_identity else out


class CSPNeXtBlock(BaseModule):
    """A 3 x 3 and a depthwise separable large-kernel convolution, with the input added (RTMDet, Lyu et al. 2022)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        kernel_size: int = 5,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SILU,
        init_cfg: Cfg = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        conv = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        self.conv1 = conv(in_channels, hidden, 3, stride=1, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = DepthwiseSeparableConvModule(
            hidden,
            out_channels,
            kernel_size,
            stride=1,
            padding=kernel_size // 2,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.add_identity = add_identity and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out: Tensor = self.conv2(self.conv1(x))
        return out + x if self.add_identity else out


class CSPLayer(BaseModule):
    """Split by two 1 x 1 convolutions, run `num_blocks` blocks on one half, join, weigh channels, mix."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        use_depthwise: bool = False,
        use_cspnext_block: bool = False,
        channel_attention: bool = False,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SWISH,
        init_cfg: Cfg = None,
    ) -> None:
        super().__init__(init_cfg)
        block = CSPNeXtBlock if use_cspnext_block else DarknetBottleneck
        middle = int(out_channels * expand_ratio)
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.channel_attention = channel_attention
        self.main_conv = ConvModule(in_channels, middle, 1, **cfgs)
        self.short_conv = ConvModule(in_channels, middle, 1, **cfgs)
        self.final_conv = ConvModule(2 * middle, out_channels, 1, **cfgs)
        self.blocks = nn.Sequential(
            *(block(middle, middle, 1.0, add_identity, use_depthwise, **cfgs) for _ in range(num_blocks))
        )
        if channel_attention:
            self.attention = ChannelAttention(2 * middle)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output (N, out_channels, H, W)."""
        joined = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        if self.channel_attention:
            joined = self.attention(joined)
        out: Tensor = self.final_conv(joined)
        return out


class SPPBottleneck(BaseModule):
    """Pool at several odd kernel sizes side by side, smallest first (spatial pyramid pooling, as in YOLOv3-SPP)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SWISH,
        init_cfg: Cfg = None,
    ) -> None:
        super().__init__(init_cfg)
        middle = in_channels // 2
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, middle, 1, stride=1, **cfgs)
        # Pooling the pooled map again widens the window, so each size costs only what it adds to the one before.
        steps = [1, *sorted(kernel_sizes)]
        self.poolings = nn.ModuleList(
            nn.MaxPool2d(size - before + 1, stride=1, padding=(size - before) // 2) for before, size in pairwise(steps)
        )
        self.conv2 = ConvModule(middle * (len(kernel_sizes) + 1), out_channels, 1, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output (N, out_channels, H, W)."""
        x = self.conv1(x)
        maps = [x]
        for pooling in self.poolings:
            maps.append(pooling(maps[-1]))
        out: Tensor = self.conv2(torch.cat(maps, dim=1))
        return out
