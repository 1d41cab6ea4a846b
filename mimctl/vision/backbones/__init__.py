"""Backbones: images in, feature maps of several strides out."""

from mimctl.vision.backbones.cspnext import CSPNeXt
from mimctl.vision.backbones.residual import BasicBlock, Bottleneck, ResLayer
from mimctl.vision.backbones.resnet import ResNet, ResNetV1c, ResNetV1d, ResNeXt

__all__ = ["BasicBlock", "Bottleneck", "CSPNeXt", "ResLayer", "ResNeXt", "ResNet", "ResNetV1c", "ResNetV1d"]
