"""Transforms that only classification needs: random parts of an image, its edge's length, packing."""

from mimctl_cls.transforms.crop import RandomCrop, RandomResizedCrop
from mimctl_cls.transforms.pack import PackInputs
from mimctl_cls.transforms.resize import ResizeEdge

__all__ = ["PackInputs", "RandomCrop", "RandomResizedCrop", "ResizeEdge"]
