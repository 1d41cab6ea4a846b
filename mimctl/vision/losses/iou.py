"""Losses from the overlap of boxes (N, 4) with their targets (N, 4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.vision.losses.reduce import weight_reduce_loss
from mimctl.vision.structures.boxes import bbox_overlaps


def iou_loss(pred: Tensor, target: Tensor, linear: bool = False, mode: str = "log", eps: float = 1e-6) -> Tensor:
    """Return 1 - IoU ('linear'), 1 - IoU ** 2 ('square') or -log IoU ('log') as (N,)."""
    ious = bbox_overlaps(pred, target, is_aligned=True).clamp(min=eps)
    mode = "linear" if linear else mode
    if mode == "linear":
        return 1 - ious
    return 1 - ious**2 if mode == "square" else -ious.log()


def giou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """Return 1 - generalised IoU as (N,) (Rezatofighi et al. 2019)."""
    return 1 - bbox_overlaps(pred, target, mode="giou", is_aligned=True, eps=eps)


def diou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """Return 1 - IoU + squared centre distance over the squared enclosing diagonal as (N,) (Zheng et al. 2020)."""
    return 1 - _distance_iou(pred, target, eps)[0]


def ciou_loss(pred: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """Return the distance IoU loss plus a penalty on the aspect ratio, in [0, 2], as (N,) (Zheng et al. 2020)."""
    diou, ious = _distance_iou(pred, target, eps)
    size1, size2 = pred[:, 2:] - pred[:, :2], target[:, 2:] - target[:, :2]
    angle1, angle2 = (torch.atan(size[:, 0] / (size[:, 1] + eps)) for size in (size1, size2))
    aspect = (4 / math.pi**2) * (angle2 - angle1) ** 2
    with torch.no_grad():
        alpha = (ious > 0.5).to(aspect.dtype) * aspect / (1 - ious + aspect)
    return 1 - (diou - alpha * aspect).clamp(min=-1.0, max=1.0)


def _distance_iou(pred: Tensor, target: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    inner = (torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])).clamp(min=0)
    overlap = inner[:, 0] * inner[:, 1]
    areas = [(each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) for each in (pred, target)]
    ious = overlap / (areas[0] + areas[1] - overlap + eps)
    outer = (torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])).clamp(min=0)
    diagonal = outer.pow(2).sum(dim=1) + eps
    centres = ((target[:, :2] + target[:, 2:]) - (pred[:, :2] + pred[:, 2:])).pow(2).sum(dim=1) / 4
    return ious - centres / diagonal, ious


class _BoxLoss(nn.Module):
    """What the overlap losses share: weights of boxes, reduction, an empty or weightless batch."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], reduction: str, loss_weight: float) -> None:
        super().__init__()
        self.function, self.reduction, self.loss_weight = function, reduction, loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the reduced loss; `weight` is (N,), or (N, 4) whose mean is taken."""
        if weight is not None and weight.ndim > 1:
            weight = weight.mean(dim=-1)
        loss = self.function(pred, target) if len(pred) else pred.sum(dim=-1)
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)


@MODELS.register_module()
class IoULoss(_BoxLoss):
    """Compute `iou_loss`."""

    def __init__(
        self,
        linear: bool = False,
        eps: float = 1e-6,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        mode: str = "log",
    ) -> None:
        if mode not in ("linear", "square", "log"):
            raise ValueError(f"`mode` must be 'linear', 'square' or 'log', not {mode!r}")
        super().__init__(partial(iou_loss, linear=linear, mode=mode, eps=eps), reduction, loss_weight)


@MODELS.register_module()
class GIoULoss(_BoxLoss):
    """Compute `giou_loss`."""

    def __init__(self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__(partial(giou_loss, eps=eps), reduction, loss_weight)


@MODELS.register_module()
class DIoULoss(_BoxLoss):
    """Compute `diou_loss`."""

    def __init__(self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__(partial(diou_loss, eps=eps), reduction, loss_weight)


@MODELS.register_module()
class CIoULoss(_BoxLoss):
    """Compute `ciou_loss`."""

    def __init__(self, eps: float = 1e-6, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__(partial(ciou_loss, eps=eps), reduction, loss_weight)
