"""ResizeEdge: resizing by the length of one edge, with the ratio kept."""

from __future__ import annotations

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import resize_image

EDGES = ("short", "long", "width", "height")


@TRANSFORMS.register_module()
class ResizeEdge(BaseTransform):
    """Resize so that `edge` (short, long, width or height) is `scale` pixels long; the other is cut to whole pixels.

    Sets `scale` (width, height), `scale_factor` (x, y), `img_shape` (height, width).
    """

    def __init__(self, scale: int, edge: str = "short", backend: str = "cv2", interpolation: str = "bilinear") -> None:
        if edge not in EDGES:
            raise ConfigError(f"unknown edge `{edge}`", code="bad-argument", causes=[f"known: {', '.join(EDGES)}"])
        self.scale = scale
        self.edge = edge
        self.backend = backend
        self.interpolation = interpolation

    def transform(self, results: Sample) -> Sample:
        """Resize the image."""
        height, width = results["img"].shape[:2]
        size = self.new_size(width, height)
        results["img"] = resize_image(results["img"], size, interpolation=self.interpolation, backend=self.backend)
        results["img_shape"] = (size[1], size[0])
        results["scale"] = size
        results["scale_factor"] = (size[0] / width, size[1] / height)
        return results

    def new_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) after resizing."""
        by_width = (
            self.edge == "width"
            or (self.edge == "short" and width < height)
            or (self.edge == "long" and width > height)
        )
        if by_width:
            return self.scale, max(1, int(self.scale * height / width))
        return max(1, int(self.scale * width / height)), self.scale
