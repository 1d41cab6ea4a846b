"""Residual networks whose blocks weigh their channels: squeeze and excitation (Hu et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.vision.backbones import resnet
from mimctl.vision.backbones.residual import GroupedBottleneck, ResidualBlock
from mimctl.vision.layers import ConvModule

_STEP = 8


class SELayer(nn.Module):
    """Multiply each channel by a weight in (0, 1) that two 1 x 1 convolutions make of all channels' averages."""

    def __init__(self, channels: int, ratio: int = 16, conv_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        squeezed = _rounded(channels // ratio)
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvModule(channels, squeezed, 1, conv_cfg=conv_cfg, act_cfg={"type": "ReLU"})
        self.conv2 = ConvModule(squeezed, channels, 1, conv_cfg=conv_cfg, act_cfg={"type": "Sigmoid"})

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed maps (B, channels, H, W)."""
        weighed: Tensor = x * self.conv2(self.conv1(self.global_avgpool(x)))
        return weighed


class SEBottleneck(GroupedBottleneck):
    """A bottleneck whose branch ends in an SELayer that squeezes to a `se_ratio`th of the channels."""

    def __init__(self, in_channels: int, out_channels: int, se_ratio: int = 16, **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.se_layer = SELayer(out_channels, se_ratio, self.conv_cfg)

    def _branch(self, x: Tensor) -> Tensor:
        weighed: Tensor = self.se_layer(super()._branch(x))
        return weighed


@MODELS.register_module()
class SEResNeXt(resnet.ResNeXt):
    """ResNeXt of SEBottlenecks."""

    arch_settings: ClassVar[Mapping[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        depth: (SEBottleneck, num_blocks) for depth, (_, num_blocks) in resnet.ResNeXt.arch_settings.items()
    }

    def __init__(
        self, depth: int, groups: int = 32, width_per_group: int = 4, se_ratio: int = 16, **kwargs: Any
    ) -> None:
        self.se_ratio = se_ratio
        super().__init__(depth, groups, width_per_group, **kwargs)

    def _of_blocks(self, block: type[ResidualBlock], base_channels: int, expansion: int | None) -> dict[str, Any]:
        return {**super()._of_blocks(block, base_channels, expansion), "se_ratio": self.se_ratio}


@MODELS.register_module()
class SEResNet(SEResNeXt):
    """ResNet of SEBottlenecks."""

    def __init__(self, depth: int, se_ratio: int = 16, **kwargs: Any) -> None:
        super().__init__(depth, groups=1, se_ratio=se_ratio, **kwargs)


def _rounded(channels: int) -> int:
    """Return the nearest multiple of the step, at least one step and at least nine tenths of `channels`."""
    nearest = max(_STEP, (channels + _STEP // 2) // _STEP * _STEP)
    return nearest + _STEP if nearest < 0.9 * channels else nearest
