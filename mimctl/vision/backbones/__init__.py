"""Backbones: images in, feature maps of several strides out. The residual ones are registered by the toolboxes."""

from mimctl.vision.backbones.cspnext import CSPNeXt

__all__ = ["CSPNeXt"]
