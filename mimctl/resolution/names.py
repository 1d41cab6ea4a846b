"""Names that resolving treats in ways of their own: ours, torch's family, the distributions of OpenCV."""

from __future__ import annotations

from mimctl.index.filenames import OWN as PREFIX
from mimctl.index.filenames import is_own

__all__ = ["CV2_NAMES", "OPENCV", "OPENCV_CONTRIB", "PREFIX", "TORCH_FAMILY", "is_own"]

TORCH_FAMILY = frozenset({"torch", "torchvision", "torchaudio"})
"""What no installation changes, whatever needs it."""
OPENCV = "opencv-python-headless"
OPENCV_CONTRIB = "opencv-contrib-python-headless"
CV2_NAMES = frozenset({OPENCV, "opencv-python", "opencv-contrib-python", OPENCV_CONTRIB})
"""Distributions that install the same package `cv2`: side by side they overwrite each other's files."""
