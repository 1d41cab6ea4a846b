"""Transforms that only detection needs: packing of a sample for a detector, and a resize of some detectors."""

from mimctl_det.transforms.pack import PackDetInputs
from mimctl_det.transforms.resize import FixScaleResize

__all__ = ["FixScaleResize", "PackDetInputs"]
