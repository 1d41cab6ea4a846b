"""The path aggregation neck of RTMDet: features go down the pyramid and up again through CSP layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS
from mimctl.vision.layers import ConvModule, CSPLayer, DepthwiseSeparableConvModule
from mimctl.vision.layers.conv_module import Cfg

_BN: Mapping[str, Any] = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_SWISH: Mapping[str, Any] = {"type": "Swish"}
_NEAREST: Mapping[str, Any] = {"scale_factor": 2, "mode": "nearest"}
_KAIMING: Mapping[str, Any] = {
    "type": "Kaiming",
    "layer": "Conv2d",
    "a": math.sqrt(5),
    "distribution": "uniform",
    "mode": "fan_in",
    "nonlinearity": "leaky_relu",
}


@MODELS.register_module()
class CSPNeXtPAFPN(BaseModule):
    """Mix maps of `in_channels` (finest first) and return as many, each of `out_channels` channels."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        upsample_cfg: Mapping[str, Any] = _NEAREST,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SWISH,
        init_cfg: Any = _KAIMING,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = tuple(in_channels), out_channels
        conv: Any = DepthwiseSeparableConvModule if use_depthwise else ConvModule
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        cfgs_with_conv = {**cfgs, "conv_cfg": conv_cfg}

        def csp(given: int, wanted: int) -> CSPLayer:
            return CSPLayer(
                given,
                wanted,
                num_blocks=num_csp_blocks,
                add_identity=False,
                use_depthwise=use_depthwise,
                use_cspnext_block=True,
                expand_ratio=expand_ratio,
                **cfgs_with_conv,
            )

        self.upsample = nn.Upsample(**upsample_cfg)
        steps = list(zip(self.in_channels[:-1], self.in_channels[1:], strict=True))
        self.reduce_layers = nn.ModuleList(
            ConvModule(coarse, fine, 1, **cfgs_with_conv) for fine, coarse in reversed(steps)
        )
        self.top_down_blocks = nn.ModuleList(csp(2 * fine, fine) for fine, _ in reversed(steps))
        self.downsamples = nn.ModuleList(
            conv(fine, fine, 3, stride=2, padding=1, **cfgs_with_conv) for fine, _ in steps
        )
        self.bottom_up_blocks = nn.ModuleList(csp(2 * fine, coarse) for fine, coarse in steps)
        self.out_convs = nn.ModuleList(
            conv(channels, out_channels, 3, padding=1, **cfgs_with_conv) for channels in self.in_channels
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the mixed maps, finest first, at the strides of `inputs`."""
        if len(inputs) != len(self.in_channels):
            raise ValueError(f"{len(self.in_channels)} maps expected, got {len(inputs)}")
        coarse = inputs[-1]
        inner: list[Tensor] = []  # coarsest first
        for reduce, block, fine in zip(self.reduce_layers, self.top_down_blocks, reversed(inputs[:-1]), strict=True):
            reduced = reduce(coarse)
            inner.append(reduced)
            coarse = block(torch.cat((self.upsample(reduced), fine), dim=1))
        outs = [coarse]
        for down, block, kept in zip(self.downsamples, self.bottom_up_blocks, reversed(inner), strict=True):
            outs.append(block(torch.cat((down(outs[-1]), kept), dim=1)))
        return tuple(conv(out) for conv, out in zip(self.out_convs, outs, strict=True))
