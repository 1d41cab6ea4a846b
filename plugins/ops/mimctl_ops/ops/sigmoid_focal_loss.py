"""Sigmoid focal loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor
from mimctl_ops.registration import define_differentiable

Reduction = Literal["none", "mean", "sum"]


def sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the sigmoid focal loss of `input` (Lin et al., "Focal Loss for Dense Object Detection", 2017).

    Each sample has at most one class; each class is a yes-or-no question of its own. float16 and bfloat16 are
    computed in float32.

    Args:
        input: (N, C) floating point, logits. Differentiable.
        target: (N,) int64, class of each sample, 0 … C - 1; anything else means that the sample has none.
        gamma: how much well classified samples are played down, >= 0.
        alpha: weight of the sample's class, 0 … 1; that of the others is `1 - alpha`.
        weight: (C,) floating point, factor of all losses of a sample by its class; None for 1.
        reduction: "none" for (N, C), "sum", or "mean": the sum divided by N.

    Returns:
        The loss in the type of `input`: (N, C), or a single number. For N = 0 the mean is 0.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    return _loss(OP, input, target, gamma, alpha, weight, reduction)


def sigmoid_focal_loss_reference(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Pure-PyTorch twin of `sigmoid_focal_loss`."""
    return _loss(_reference, input, target, gamma, alpha, weight, reduction)


class SigmoidFocalLoss(nn.Module):
    """`sigmoid_focal_loss` as a module that is called with `input` and `target`."""

    weight: Tensor | None

    def __init__(self, gamma: float, alpha: float, weight: Tensor | None = None, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.register_buffer("weight", weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of (N, C) logits and (N,) classes."""
        return sigmoid_focal_loss(input, target, self.gamma, self.alpha, self.weight, self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"gamma={self.gamma}, alpha={self.alpha}, reduction={self.reduction!r}"


def _loss(
    elementwise: Callable[[Tensor, Tensor, Tensor | None, float, float], Tensor],
    input: Tensor,
    target: Tensor,
    gamma: float,
    alpha: float,
    weight: Tensor | None,
    reduction: str,
) -> Tensor:
    _check(input, target, weight)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"sigmoid_focal_loss: reduction must be none, mean or sum, not {reduction!r}")
    loss = elementwise(input, target, weight, float(gamma), float(alpha))
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / max(len(input), 1)


def _check(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    op = "sigmoid_focal_loss"
    check_tensor(op, "input", input, "(N, C)", dim=2)
    check_tensor(op, "target", target, "(N,)", dim=1)
    check_size(op, "target", target, "(N,), one class a sample", dim=0, size=input.shape[0])
    if target.dtype != torch.int64:
        raise TypeError(f"{op}: target must be int64, not {target.dtype}")
    if weight is not None:
        check_tensor(op, "weight", weight, "(C,)", dim=1)
        check_size(op, "weight", weight, "(C,), one factor a class", dim=0, size=input.shape[1])
    check_floating(op, input=input, weight=weight)
    check_same_device(op, input=input, target=target, weight=weight)


def _reference(input: Tensor, target: Tensor, weight: Tensor | None, gamma: float, alpha: float) -> Tensor:
    logits = input if input.dtype in (torch.float32, torch.float64) else input.float()
    is_target = target[:, None] == torch.arange(logits.shape[1], device=target.device)
    x = torch.where(is_target, logits, -logits)
    share = torch.full_like(logits, 1 - alpha).masked_fill(is_target, alpha)
    loss = -share * torch.exp(gamma * F.logsigmoid(-x)) * F.logsigmoid(x)
    if weight is not None and logits.shape[1]:
        is_known = (target >= 0) & (target < logits.shape[1])
        factors = weight.to(loss.dtype)[target.clamp(0, logits.shape[1] - 1)]
        loss = loss * torch.where(is_known, factors, 1)[:, None]
    return loss.to(input.dtype)


def _fake(input: Tensor, target: Tensor, weight: Tensor | None, gamma: float, alpha: float) -> Tensor:
    return input.new_empty(input.shape)


OP = define_differentiable(
    "sigmoid_focal_loss(Tensor input, Tensor target, Tensor? weight, float gamma, float alpha) -> Tensor",
    reference=_reference,
    fake=_fake,
    wrt=["input"],
)
