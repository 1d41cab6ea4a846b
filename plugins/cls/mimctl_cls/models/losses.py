"""Losses of classification: cross entropy against labels or shares of classes, and with smoothed labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.vision.losses import weight_reduce_loss


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Cross entropy of logits (B, C) against labels (B,) or shares of the classes (B, C).

    `use_sigmoid` takes each class for itself (multi-label): the targets are (B, C) of 0 and 1. `use_soft` demands
    shares. `class_weight` and `pos_weight` (with `use_sigmoid`) have one value for each class.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_soft: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        pos_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if use_sigmoid and use_soft:
            raise ValueError("`use_sigmoid` and `use_soft` exclude each other")
        self.use_sigmoid, self.use_soft = use_sigmoid, use_soft
        self.reduction, self.loss_weight = reduction, loss_weight
        self.class_weight, self.pos_weight = class_weight, pos_weight

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the reduced loss; `weight` (B,) weighs the samples."""
        if (self.use_sigmoid or self.use_soft) and label.shape != cls_score.shape:
            raise ValueError(f"the targets must be {tuple(cls_score.shape)} as the logits, not {tuple(label.shape)}")
        if self.use_sigmoid:
            loss = self._of_each_class(cls_score, label)
            weight = weight if weight is None else weight.reshape(-1, 1)
        else:
            target = label.to(cls_score.dtype) if label.is_floating_point() or self.use_soft else label
            loss = F.cross_entropy(cls_score, target, weight=_like(cls_score, self.class_weight), reduction="none")
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)

    def _of_each_class(self, cls_score: Tensor, label: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            cls_score,
            label.to(cls_score.dtype),
            weight=_like(cls_score, self.class_weight),
            pos_weight=_like(cls_score, self.pos_weight),
            reduction="none",
        )


@MODELS.register_module()
class LabelSmoothLoss(nn.Module):
    """Cross entropy against targets that leave `label_smooth_val` to the other classes (Szegedy et al. 2016).

    `mode`: 'original' gives that share to all C classes alike; 'classy_vision' gives `eps / (1 + eps)` of it;
    'multi_label' moves each target of 0 and 1 towards the other by it, for sigmoids.
    """

    def __init__(
        self,
        label_smooth_val: float,
        num_classes: int | None = None,
        use_sigmoid: bool | None = None,
        mode: str = "original",
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        pos_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smooth_val < 1:
            raise ValueError(f"`label_smooth_val` must lie in [0, 1), not {label_smooth_val}")
        if mode not in ("original", "classy_vision", "multi_label"):
            raise ValueError(f"`mode` must be 'original', 'classy_vision' or 'multi_label', not {mode!r}")
        self.mode, self.num_classes, self.loss_weight = mode, num_classes, loss_weight
        self.share = label_smooth_val / (1 + label_smooth_val) if mode == "classy_vision" else label_smooth_val
        use_sigmoid = mode == "multi_label" if use_sigmoid is None else use_sigmoid
        self.ce = CrossEntropyLoss(use_sigmoid, not use_sigmoid, reduction, 1.0, class_weight, pos_weight)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the reduced loss of logits (B, C) against labels (B,) or shares (B, C)."""
        classes = cls_score.shape[1]
        if self.num_classes not in (None, classes):
            raise ValueError(f"`num_classes` of the loss is {self.num_classes}, the logits have {classes}")
        if label.ndim == 1 or (label.ndim == 2 and label.shape[1] == 1):
            label = F.one_hot(label.reshape(-1), classes)
        target = self._smoothed(label.to(cls_score.dtype))
        loss: Tensor = self.ce(cls_score, target, weight, avg_factor, reduction_override)
        return self.loss_weight * loss

    def _smoothed(self, target: Tensor) -> Tensor:
        if self.mode == "multi_label":
            return (target > 0) * (1 - 2 * self.share) + self.share
        return target * (1 - self.share) + self.share / target.shape[1]


def _like(scores: Tensor, weights: Sequence[float] | None) -> Tensor | None:
    return None if weights is None else scores.new_tensor(weights)
