"""Greedy non-maximum suppression of rotated boxes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mimctl_ops.checks import check_tensor, compute_type
from mimctl_ops.ops._rotated_boxes import all_overlaps
from mimctl_ops.ops._suppression import check_labels, check_scored_boxes, class_by_class, detections
from mimctl_ops.ops.box_iou_rotated import mirrored
from mimctl_ops.ops.nms import greedy
from mimctl_ops.registration import define

_BLOCK = 128


def nms_rotated(
    dets: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None, clockwise: bool = True
) -> tuple[Tensor, Tensor]:
    """Keep the rotated boxes that overlap no better box of their class by more than `iou_threshold`.

    Boxes are taken in order of falling score (equal scores in order of their rows, NaN first); a box is dropped when
    its IoU with a box kept before is greater than the threshold. IoUs are those of `box_iou_rotated`, compared in
    float64: a box without area, or with a NaN or infinite number, is kept.

    Args:
        dets: (N, 5) floating point, `x, y` of the center, width, height, and an angle in radians.
        scores: (N,) floating point, on the same device.
        iou_threshold: 0 … 1; less is the same as 0.
        labels: (N,) whole numbers: boxes of different labels do not suppress each other. None: all are of one class.
        clockwise: whether a positive angle turns the x axis towards the y axis, which is clockwise where y points down.

    Returns:
        (K, 6) boxes as given, and scores, of the kept ones, best first (differentiable), and (K,) int64, their rows.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    return _checked(OP, dets, scores, iou_threshold, labels, clockwise)


def nms_rotated_reference(
    dets: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None, clockwise: bool = True
) -> tuple[Tensor, Tensor]:
    """Pure-PyTorch twin of `nms_rotated`."""
    return _checked(find_rows, dets, scores, iou_threshold, labels, clockwise)


RowsOf = Callable[[Tensor, Tensor, float, Tensor | None], Tensor]


def _checked(
    rows_of: RowsOf, dets: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None, clockwise: bool
) -> tuple[Tensor, Tensor]:
    check_tensor("nms_rotated", "dets", dets, "(N, 5)", dim=2)
    labels = None if labels is None else check_labels("nms_rotated", "labels", labels, dets)
    return select(rows_of, dets, scores, labels, iou_threshold, clockwise)


def select(
    rows_of: RowsOf,
    dets: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    clockwise: bool = True,
) -> tuple[Tensor, Tensor]:
    """Do what `nms_rotated` promises by an operator or its twin; labels are int64."""
    check_scored_boxes("nms_rotated", "dets", dets, 5, scores)
    boxes = dets.detach() if clockwise else mirrored(dets.detach())
    rows = rows_of(boxes, scores.detach(), float(iou_threshold), labels)
    return detections(dets, scores, rows), rows


def find_rows(dets: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    """Twin of the operator: return the rows that are kept, best score first."""
    dets, scores = dets.double(), scores.to(compute_type(scores.dtype))
    iou_threshold = max(iou_threshold, 0.0)
    return class_by_class(labels, scores, lambda rows: rows[_keep_of_class(dets[rows], scores[rows], iou_threshold)])


def _keep_of_class(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    order = scores.sort(descending=True, stable=True).indices
    kept = []
    while order.numel():
        block, rest = order[:_BLOCK], order[_BLOCK:]
        within = all_overlaps(boxes[block], boxes[block], of_first=False) > iou_threshold
        block = block[greedy(within.triu(diagonal=1))]
        kept.append(block)
        order = rest[~(all_overlaps(boxes[block], boxes[rest], of_first=False) > iou_threshold).any(dim=0)]
    return torch.cat(kept) if kept else order


def _fake(dets: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    check_scored_boxes("nms_rotated", "dets", dets, 5, scores)
    return dets.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


OP = define(
    "nms_rotated(Tensor dets, Tensor scores, float iou_threshold, Tensor? labels=None) -> Tensor",
    reference=find_rows,
    fake=_fake,
)
