"""Operators on boxes: the typed functions and their fake kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from mimctl_ops.library import load
from mimctl_ops.reference import check_nms_inputs

load()


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep the boxes that overlap no better box by more than `iou_threshold`.

    Boxes are taken in order of falling score (equal scores in order of their rows, NaN first); a box is dropped when
    its IoU with a box kept before is greater than the threshold. float16 and bfloat16 are computed in float32.

    Args:
        boxes: (N, 4) floating point, `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in pixels or any other unit.
        scores: (N,) floating point, on the same device.
        iou_threshold: 0 … 1, compared in the precision of the boxes.

    Returns:
        (K,) int64, rows of the kept boxes in order of falling score. Not differentiable. N = 0 is legal.

    Raises:
        RuntimeError or ValueError: a shape or a type is not as above.
    """
    result: Tensor = torch.ops.mimctl_ops.nms.default(boxes, scores, iou_threshold)
    return result


@torch.library.register_fake("mimctl_ops::nms")
def _nms_fake(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    check_nms_inputs(boxes, scores)
    num_kept = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(num_kept, dtype=torch.int64)
