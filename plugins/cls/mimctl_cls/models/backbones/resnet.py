"""The residual networks under classification's names: the last map, all of it trained, unless a config says else."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mimctl.engine.registry import MODELS
from mimctl.vision.backbones import resnet


@MODELS.register_module()
class ResNet(resnet.ResNet):
    """ResNet with classification's defaults."""


@MODELS.register_module()
class ResNetV1c(resnet.ResNetV1c):
    """ResNet-C with classification's defaults."""


@MODELS.register_module()
class ResNetV1d(resnet.ResNetV1d):
    """ResNet-D with classification's defaults."""


@MODELS.register_module()
class ResNeXt(resnet.ResNeXt):
    """ResNeXt with classification's defaults."""


@MODELS.register_module()
class ResNet_CIFAR(resnet.ResNet):  # noqa: N801  (the name that configs have)
    """ResNet for images of 32 x 32: a first convolution of 3 x 3 that does not stride, and no pooling after it."""

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, **kwargs)
        if self.deep_stem:
            raise ValueError("ResNet_CIFAR has no deep stem")

    def _add_stem(self, in_channels: int, channels: int) -> None:
        self._add_first_conv(in_channels, channels, kernel_size=3, stride=1, padding=1)

    def _stem(self, x: Tensor) -> Tensor:
        activated: Tensor = self.relu(self.norm1(self.conv1(x)))
        return activated
