"""Soft non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from mimctl_ops.checks import compute_type
from mimctl_ops.ops._suppression import check_scored_boxes, with_tensors
from mimctl_ops.registration import define

if TYPE_CHECKING:
    from mimctl_ops.ops._suppression import Numbers

Method = Literal["naive", "linear", "gaussian"]
_METHODS = ("naive", "linear", "gaussian")


def soft_nms(
    boxes: Numbers,
    scores: Numbers,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: Method = "linear",
    offset: int = 0,
) -> tuple[Numbers, Numbers]:
    """Lower the scores of boxes that overlap a better box (Bodla et al., "Soft-NMS", 2017).

    Again and again the box with the greatest score is taken (the first row of equal ones, NaN before all), and the
    scores of the remaining boxes are multiplied by a weight that falls with their IoU o with it: "linear" 1 - o and
    "naive" 0, both where o >= `iou_threshold`; "gaussian" exp(-o² / sigma) everywhere. Boxes that do not touch, or have
    no area, keep their score. A box below `min_score` is dropped, but the best of all stays in any case. float16 and
    bfloat16 are computed in float32.

    Args:
        boxes: (N, 4) floating point, `x1, y1, x2, y2` with `x1 <= x2` and `y1 <= y2`, in pixels or any other unit.
            Boxes and scores may also be numpy arrays; then the results are.
        scores: (N,) floating point, on the same device; used in the type of `boxes`.
        iou_threshold: 0 … 1; without meaning for "gaussian".
        sigma: greater than 0; for "gaussian" alone.
        min_score: the least score of what is kept.
        method: "naive", "linear" or "gaussian".
        offset: 0, or 1 where `x2, y2` are the last pixels inside a box: its width is then `x2 - x1 + 1`.

    Returns:
        (K, 5) boxes and lowered scores, greatest first, and (K,) int64, their rows. There is a gradient with respect to
        the boxes, none with respect to the scores.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    call = partial(
        select, OP, iou_threshold=iou_threshold, sigma=sigma, min_score=min_score, method=method, offset=offset
    )
    return with_tensors(call, boxes, scores)


def soft_nms_reference(
    boxes: Numbers,
    scores: Numbers,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: Method = "linear",
    offset: int = 0,
) -> tuple[Numbers, Numbers]:
    """Pure-PyTorch twin of `soft_nms`."""
    call = partial(
        select, find_rows, iou_threshold=iou_threshold, sigma=sigma, min_score=min_score, method=method, offset=offset
    )
    return with_tensors(call, boxes, scores)


def select(
    rows_of: Callable[[Tensor, Tensor, Tensor | None, float, float, float, int], tuple[Tensor, Tensor]],
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None = None,
    *,
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: str = "linear",
    offset: int = 0,
) -> tuple[Tensor, Tensor]:
    """Do what `soft_nms` promises by an operator or its twin; boxes of different labels leave each other alone."""
    check_scored_boxes("soft_nms", "boxes", boxes, 4, scores)
    if method not in _METHODS:
        raise ValueError(f"soft_nms: method must be naive, linear or gaussian, not {method!r}")
    if not sigma > 0:
        raise ValueError(f"soft_nms: sigma must be greater than 0, not {sigma}")
    if offset not in (0, 1):
        raise ValueError(f"soft_nms: offset must be 0 or 1, not {offset}")
    measured = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1) if offset else boxes
    numbers = float(iou_threshold), float(sigma), float(min_score), _METHODS.index(method)
    rows, lowered = rows_of(measured.detach(), scores.detach(), labels, *numbers)
    return torch.cat((boxes[rows], lowered.to(boxes.dtype)[:, None]), dim=1), rows


def find_rows(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
) -> tuple[Tensor, Tensor]:
    """Twin of the operator: return the rows that are kept and their lowered scores, greatest first."""
    boxes = boxes.to(compute_type(boxes.dtype))
    scores = scores.to(boxes.dtype)
    rows = torch.arange(len(boxes), device=boxes.device)
    alive = ~(scores < min_score)
    if len(rows):
        alive[scores.argmax()] = True
    rows = rows[alive]
    kept_rows, kept_scores = [], []
    while len(rows):
        boxes, scores = boxes[alive], scores[alive]
        labels = None if labels is None else labels[alive]
        best = scores.isnan().float().argmax() if scores.isnan().any() else (scores == scores.max()).float().argmax()
        kept_rows.append(rows[best])
        kept_scores.append(scores[best])
        overlap = _overlap(boxes[best], boxes)
        touches = overlap > 0 if labels is None else (overlap > 0) & (labels == labels[best])
        scores = torch.where(touches, _lower(scores, overlap, iou_threshold, sigma, method), scores)
        alive = ~(scores < min_score)
        alive[best] = False
        rows = rows[alive]
    if not kept_rows:
        return rows, boxes.new_empty(0)
    all_rows, order = torch.stack(kept_rows).sort()
    all_scores, by_score = torch.stack(kept_scores)[order].sort(descending=True, stable=True)
    return all_rows[by_score], all_scores


def _lower(scores: Tensor, overlap: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if _METHODS[method] == "gaussian":
        weight = torch.exp(-(overlap * overlap) / sigma)
    else:
        weight = torch.where(overlap >= iou_threshold, 1 - overlap if method else 0, 1)
    return torch.where(weight > 0, scores * weight, 0)


def _overlap(box: Tensor, boxes: Tensor) -> Tensor:
    width = (torch.minimum(box[2], boxes[:, 2]) - torch.maximum(box[0], boxes[:, 0])).clamp(min=0)
    height = (torch.minimum(box[3], boxes[:, 3]) - torch.maximum(box[1], boxes[:, 1])).clamp(min=0)
    common = width * height
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return common / ((box[2] - box[0]) * (box[3] - box[1]) + areas - common)


def _fake(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
) -> tuple[Tensor, Tensor]:
    check_scored_boxes("soft_nms", "boxes", boxes, 4, scores)
    size = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(size, dtype=torch.int64), boxes.new_empty(size, dtype=compute_type(boxes.dtype))


OP = define(
    "soft_nms(Tensor boxes, Tensor scores, Tensor? labels, float iou_threshold, float sigma, float min_score, "
    "int method) -> (Tensor, Tensor)",
    reference=find_rows,
    fake=_fake,
)
