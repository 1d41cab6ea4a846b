"""Depthwise separable convolution: one filter a channel, then a 1 x 1 mix (MobileNets, Howard et al. 2017)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.vision.layers.conv_module import Cfg, ConvModule

_DEFAULT_ACT: dict[str, Any] = {"type": "ReLU"}


@MODELS.register_module()
class DepthwiseSeparableConvModule(nn.Module):
    """Two ConvModules; `dw_*` and `pw_*` set normalisation and activation of each ('default': as the whole's)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        norm_cfg: Cfg = None,
        act_cfg: Cfg = _DEFAULT_ACT,
        dw_norm_cfg: Cfg | str = "default",
        dw_act_cfg: Cfg | str = "default",
        pw_norm_cfg: Cfg | str = "default",
        pw_act_cfg: Cfg | str = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if "groups" in kwargs:
            raise ValueError("a depthwise convolution sets `groups` itself")
        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            norm_cfg=_own(dw_norm_cfg, norm_cfg),
            act_cfg=_own(dw_act_cfg, act_cfg),
            **kwargs,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=_own(pw_norm_cfg, norm_cfg),
            act_cfg=_own(pw_act_cfg, act_cfg),
            **kwargs,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        mixed: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return mixed


def _own(given: Cfg | str, default: Cfg) -> Cfg:
    return default if isinstance(given, str) else given
