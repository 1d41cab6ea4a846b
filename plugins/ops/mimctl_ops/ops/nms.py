"""Greedy non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mimctl_ops.checks import compute_type
from mimctl_ops.ops._suppression import (
    check_scored_boxes,
    class_by_class,
    detections,
    with_tensors,
)
from mimctl_ops.registration import define

if TYPE_CHECKING:
    from mimctl_ops.ops._suppression import Numbers

_BLOCK = 128
"""Boxes decided at once: many, to need few tensor operations, but so few that their masks stay in the cache."""


def nms(
    boxes: Numbers,
    scores: Numbers,
    iou_threshold: float,
    offset: int = 0,
    score_threshold: float = 0,
    max_num: int = -1,
) -> tuple[Numbers, Numbers]:
    """Keep the boxes that overlap no better box by more than `iou_threshold`.

    Boxes are taken in order of falling score (equal scores in order of their rows, NaN first); a box is dropped when
    its IoU with a box kept before is greater than the threshold. float16 and bfloat16 are computed in float32.

    Args:
        boxes: (N, 4) floating point, `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in pixels or any other unit.
            Boxes and scores may also be numpy arrays; then the results are.
        scores: (N,) floating point, on the same device.
        iou_threshold: 0 … 1, compared in the precision of the boxes.
        offset: 0, or 1 where `x2, y2` are the last pixels inside a box: its width is then `x2 - x1 + 1`.
        score_threshold: greater than 0: boxes whose score is not above it are left out.
        max_num: greater than 0: at most so many boxes are kept.

    Returns:
        (K, 5) boxes and scores of the kept ones, best first (differentiable), and (K,) int64, their rows.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    call = partial(
        select, OP, iou_threshold=iou_threshold, offset=offset, score_threshold=score_threshold, max_num=max_num
    )
    return with_tensors(call, boxes, scores)


def nms_reference(
    boxes: Numbers,
    scores: Numbers,
    iou_threshold: float,
    offset: int = 0,
    score_threshold: float = 0,
    max_num: int = -1,
) -> tuple[Numbers, Numbers]:
    """Pure-PyTorch twin of `nms`."""
    call = partial(
        select, find_rows, iou_threshold=iou_threshold, offset=offset, score_threshold=score_threshold, max_num=max_num
    )
    return with_tensors(call, boxes, scores)


def select(
    rows_of: Callable[[Tensor, Tensor, float, Tensor | None], Tensor],
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    iou_threshold: float,
    offset: int = 0,
    score_threshold: float = 0,
    max_num: int = -1,
) -> tuple[Tensor, Tensor]:
    """Do what `nms` promises by an operator or its twin; boxes of different labels do not suppress each other."""
    check_scored_boxes("nms", "boxes", boxes, 4, scores)
    if offset not in (0, 1):
        raise ValueError(f"nms: offset must be 0 or 1, not {offset}")
    chosen = (scores > score_threshold).nonzero().squeeze(1) if score_threshold > 0 else None
    some_boxes, some_scores = (boxes, scores) if chosen is None else (boxes[chosen], scores[chosen])
    if offset:
        some_boxes = torch.cat((some_boxes[:, :2], some_boxes[:, 2:] + offset), dim=1)
    some_labels = labels if labels is None or chosen is None else labels[chosen]
    rows = rows_of(some_boxes.detach(), some_scores.detach(), float(iou_threshold), some_labels)
    rows = rows[:max_num] if max_num > 0 else rows
    rows = rows if chosen is None else chosen[rows]
    return detections(boxes, scores, rows), rows


def find_rows(boxes: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    """Twin of the operator: return the rows that are kept, best score first."""
    boxes, scores = boxes.to(compute_type(boxes.dtype)), scores.to(compute_type(scores.dtype))
    return class_by_class(labels, scores, lambda rows: rows[_keep_of_class(boxes[rows], scores[rows], iou_threshold)])


def _keep_of_class(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    order = scores.sort(descending=True, stable=True).indices
    rest = boxes[order]
    kept = []
    while order.numel():
        block, rest = rest[:_BLOCK], rest[_BLOCK:]
        alive = greedy(_iou_exceeds(block, block, iou_threshold).triu(diagonal=1))
        kept.append(order[:_BLOCK][alive])
        survives = ~_iou_exceeds(block[alive], rest, iou_threshold).any(dim=0)
        order, rest = order[_BLOCK:][survives], rest[survives]
    return torch.cat(kept) if kept else order


def _iou_exceeds(first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """Return a (N, M) mask of the pairs whose IoU is greater than `threshold`; NaN (two empty boxes) is not."""
    left, top, right, bottom = first[:, :, None].unbind(dim=1)
    width = torch.minimum(right, second[:, 2]).sub_(torch.maximum(left, second[:, 0])).clamp_(min=0)
    height = torch.minimum(bottom, second[:, 3]).sub_(torch.maximum(top, second[:, 1])).clamp_(min=0)
    common = width.mul_(height)
    union = (_area(first)[:, None] + _area(second)).sub_(common)
    return common.div_(union) > threshold


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def greedy(suppresses: Tensor) -> Tensor:
    """Return who survives when row i, if it survives, suppresses the columns marked in it (all right of i).

    A box depends on earlier boxes only, so repeating the rule settles the first k boxes after k rounds at the latest;
    in practice a handful of rounds is enough.
    """
    alive = torch.ones(len(suppresses), dtype=torch.bool, device=suppresses.device)
    while True:
        update = ~(suppresses & alive[:, None]).any(dim=0)
        if torch.equal(update, alive):
            return alive
        alive = update


def _fake(boxes: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None) -> Tensor:
    check_scored_boxes("nms", "boxes", boxes, 4, scores)
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


OP = define(
    "nms(Tensor boxes, Tensor scores, float iou_threshold, Tensor? labels=None) -> Tensor",
    reference=find_rows,
    fake=_fake,
)
