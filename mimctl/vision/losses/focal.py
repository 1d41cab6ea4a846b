"""Classification losses that look at hard examples."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.vision.losses.reduce import weight_reduce_loss


def quality_focal_loss(pred: Tensor, target: tuple[Tensor, Tensor], beta: float = 2.0) -> Tensor:
    """Return the loss (N,) of logits (N, C) against labels (N,) and the quality (N,) in [0, 1] of each positive.

    A label outside of [0, C) is background. Generalized Focal Loss, Li et al. 2020, equation 2: cross entropy against
    the quality times |quality - sigmoid| ** beta.
    """
    label, quality = target
    positive = ((label >= 0) & (label < pred.shape[1])).nonzero().squeeze(1)
    # One dense target: the quality at each positive's class, 0 elsewhere.
    wanted = pred.new_zeros(pred.shape)
    wanted[positive, label[positive]] = quality[positive].to(wanted.dtype)
    loss = F.binary_cross_entropy_with_logits(pred, wanted, reduction="none")
    return (loss * (wanted - pred.sigmoid()).abs().pow(beta)).sum(dim=1)


@MODELS.register_module()
class QualityFocalLoss(nn.Module):
    """Compute `quality_focal_loss` on logits; `use_sigmoid=False` is not part of the method."""

    def __init__(
        self,
        use_sigmoid: bool = True,
        beta: float = 2.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        if not use_sigmoid or activated:
            raise ValueError("QualityFocalLoss takes logits of a sigmoid")
        self.use_sigmoid, self.beta, self.reduction, self.loss_weight = use_sigmoid, beta, reduction, loss_weight
        self.activated = activated

    def forward(
        self,
        pred: Tensor,
        target: tuple[Tensor, Tensor],
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Return the reduced loss; `weight` is (N,)."""
        loss = quality_focal_loss(pred, target, self.beta)
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)
