"""Box coders: from what a head predicts to boxes, and back."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mimctl.engine.registry import TASK_UTILS
from mimctl.vision.structures import bbox2distance, distance2bbox


@TASK_UTILS.register_module()
class DistancePointBBoxCoder:
    """A box as the distances of its four edges from a point (FCOS); `clip_border` keeps decoded boxes on the image."""

    encode_size = 4

    def __init__(self, clip_border: bool | None = True, use_box_type: bool = False) -> None:
        self.clip_border = clip_border

    def encode(self, points: Tensor, gt_bboxes: Tensor, max_dis: float | None = None, eps: float = 0.1) -> Tensor:
        """Return the distances (N, 4) of boxes (N, 4) from points (N, 2)."""
        return bbox2distance(points, gt_bboxes, max_dis, eps)

    def decode(
        self,
        points: Tensor,
        pred_bboxes: Tensor,
        max_shape: Sequence[int] | Sequence[Sequence[int]] | Tensor | None = None,
    ) -> Tensor:
        """Return boxes (..., N, 4) from points and distances; clipped to `max_shape` (height, width) where wanted."""
        return distance2bbox(points, pred_bboxes, max_shape if self.clip_border else None)
