"""Geometry of boxes: overlaps, distances from points, other ways to write a box.

A box is x1 y1 x2 y2 in pixels; functions take tensors (..., N, 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

OverlapMode = Literal["iou", "iof", "giou"]


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    mode: OverlapMode = "iou",
    is_aligned: bool = False,
    eps: float = 1e-6,
) -> Tensor:
    """Return overlaps (..., M, N) of each box of (..., M, 4) with each of (..., N, 4), or (..., N) where aligned.

    'iou': intersection over union; 'iof': over the area of the first box; 'giou': generalised IoU in [-1, 1]
    (Rezatofighi et al. 2019). Denominators are at least `eps`.
    """
    if mode not in ("iou", "iof", "giou"):
        raise ValueError(f"`mode` must be 'iou', 'iof' or 'giou', not {mode!r}")
    if is_aligned and bboxes1.shape[-2] != bboxes2.shape[-2]:
        raise ValueError(f"aligned boxes must be as many: {bboxes1.shape[-2]} and {bboxes2.shape[-2]}")
    area1, area2 = _area(bboxes1), _area(bboxes2)
    if not is_aligned:
        bboxes1, bboxes2 = bboxes1.unsqueeze(-2), bboxes2.unsqueeze(-3)
        area1, area2 = area1.unsqueeze(-1), area2.unsqueeze(-2)
    inner = (torch.min(bboxes1[..., 2:], bboxes2[..., 2:]) - torch.max(bboxes1[..., :2], bboxes2[..., :2])).clamp(min=0)
    overlap = inner[..., 0] * inner[..., 1]
    union = (area1.expand_as(overlap) if mode == "iof" else area1 + area2 - overlap).clamp(min=eps)
    ious = overlap / union
    if mode != "giou":
        return ious
    outer = (torch.max(bboxes1[..., 2:], bboxes2[..., 2:]) - torch.min(bboxes1[..., :2], bboxes2[..., :2])).clamp(min=0)
    enclosing = (outer[..., 0] * outer[..., 1]).clamp(min=eps)
    return ious - (enclosing - union) / enclosing


def distance2bbox(
    points: Tensor, distance: Tensor, max_shape: Sequence[int] | Sequence[Sequence[int]] | Tensor | None = None
) -> Tensor:
    """Return boxes from points (..., N, 2+) and the distances (..., N, 4) to their left, top, right and bottom edges.

    `max_shape` (height, width; one, or one an image) clips the boxes.
    """
    x, y = points[..., 0], points[..., 1]
    boxes = torch.stack(
        (x - distance[..., 0], y - distance[..., 1], x + distance[..., 2], y + distance[..., 3]), dim=-1
    )
    return boxes if max_shape is None else _clip(boxes, max_shape)


def bbox2distance(points: Tensor, bbox: Tensor, max_dis: float | None = None, eps: float = 0.1) -> Tensor:
    """Return distances (N, 4) from points (N, 2+) to the edges; limited to [0, max_dis - eps] where that is given."""
    distance = torch.cat((points[..., :2] - bbox[..., :2], bbox[..., 2:4] - points[..., :2]), dim=-1)
    return distance if max_dis is None else distance.clamp(min=0, max=max_dis - eps)


def bbox_xyxy_to_cxcywh(bbox: Tensor) -> Tensor:
    """Return boxes as centre x, centre y, width, height."""
    low, high = bbox[..., :2], bbox[..., 2:4]
    return torch.cat(((low + high) / 2, high - low), dim=-1)


def bbox_cxcywh_to_xyxy(bbox: Tensor) -> Tensor:
    """Return boxes given as centre x, centre y, width, height as x1 y1 x2 y2."""
    centre, half = bbox[..., :2], bbox[..., 2:4] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def scale_boxes(boxes: Tensor, scale_factor: Sequence[float]) -> Tensor:
    """Return boxes multiplied by (x factor, y factor)."""
    return boxes * boxes.new_tensor(scale_factor).repeat(2)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _clip(boxes: Tensor, max_shape: Sequence[int] | Sequence[Sequence[int]] | Tensor) -> Tensor:
    if isinstance(max_shape, Sequence) and isinstance(max_shape[0], int):
        height, width = max_shape[0], max_shape[1]
        limit = boxes.new_tensor([width, height, width, height])
    else:
        shape = torch.as_tensor(max_shape, dtype=boxes.dtype, device=boxes.device)[..., :2]
        limit = shape.flip(-1).repeat(*(1,) * (shape.ndim - 1), 2).unsqueeze(-2)
    return torch.minimum(boxes.clamp(min=0), limit)
