"""Transforms that only detection needs: packing of a sample for a detector."""

from mimctl_det.transforms.pack import PackDetInputs

__all__ = ["PackDetInputs"]
