"""Names that resolving treats in ways of their own: ours, torch's family, the distributions of OpenCV."""

from __future__ import annotations

PREFIX = "mimctl"
TORCH_FAMILY = frozenset({"torch", "torchvision", "torchaudio"})
"""What no installation changes, whatever needs it."""
OPENCV = "opencv-python-headless"
OPENCV_CONTRIB = "opencv-contrib-python-headless"
CV2_NAMES = frozenset({OPENCV, "opencv-python", "opencv-contrib-python", OPENCV_CONTRIB})
"""Distributions that install the same package `cv2`: side by side they overwrite each other's files."""


def is_own(name: str) -> bool:
    """Return whether a distribution is one of ours by its name: such names resolve in mimctl's indexes only."""
    return name == PREFIX or name.startswith(f"{PREFIX}-")
