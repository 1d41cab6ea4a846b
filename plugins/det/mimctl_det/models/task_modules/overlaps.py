"""Overlap calculators by name, for assigners."""

from __future__ import annotations

from torch import Tensor

from mimctl.engine.registry import TASK_UTILS
from mimctl.vision.structures import bbox_overlaps
from mimctl.vision.structures.boxes import OverlapMode


@TASK_UTILS.register_module()
class BboxOverlaps2D:
    """Compute `bbox_overlaps` of plain boxes; columns after the fourth are left out."""

    def __init__(self, scale: float = 1.0, dtype: str | None = None) -> None:
        self.scale, self.dtype = scale, dtype

    def __call__(self, bboxes1: Tensor, bboxes2: Tensor, mode: OverlapMode = "iou", is_aligned: bool = False) -> Tensor:
        """Return the overlaps (M, N), or (N,) where aligned."""
        return bbox_overlaps(bboxes1[..., :4], bboxes2[..., :4], mode, is_aligned)
