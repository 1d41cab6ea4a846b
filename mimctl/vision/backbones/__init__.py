"""Backbones: images in, feature maps of several strides out."""

from mimctl.vision.backbones.cspnext import CSPNeXt

__all__ = ["CSPNeXt"]
