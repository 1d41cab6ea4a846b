"""FixScaleResize: resizing whose new size is cut off instead of rounded (grounded detectors were trained so)."""

from __future__ import annotations

from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms import Resize


@TRANSFORMS.register_module()
class FixScaleResize(Resize):
    """Resize; with `keep_ratio` both edges are cut off to whole pixels."""

    def new_size(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) of an image of `size` that fits into `scale`."""
        width, height = size
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        return int(width * factor), int(height * factor)
