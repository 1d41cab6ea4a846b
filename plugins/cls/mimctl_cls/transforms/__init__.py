"""Transforms that only classification needs: random parts of an image, its edge's length, turning, packing."""

from mimctl_cls.transforms.crop import RandomCrop, RandomResizedCrop
from mimctl_cls.transforms.pack import PackInputs
from mimctl_cls.transforms.resize import ResizeEdge
from mimctl_cls.transforms.rotate import Rotate

__all__ = ["PackInputs", "RandomCrop", "RandomResizedCrop", "ResizeEdge", "Rotate"]
