"""Augmentation of whole batches: pairs of images are mixed, and the shares of their classes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mimctl.engine.registry import MODELS


class RandomBatchAugment:
    """Apply one of `augments` (configs or functions) to a batch, drawn by `probs` (alike without).

    What `probs` lack to 1 is the chance that nothing is done.
    """

    def __init__(self, augments: Any, probs: float | Sequence[float] | None = None) -> None:
        many = augments if isinstance(augments, list | tuple) else [augments]
        self.augments = [MODELS.build(each) if isinstance(each, Mapping) else each for each in many]
        shares = [1 / len(self.augments)] * len(self.augments) if probs is None else _as_list(probs)
        if len(shares) != len(self.augments) or sum(shares) > 1 + 1e-6:
            raise ValueError(f"`probs` needs one value for each of {len(self.augments)} `augments`, at most 1 together")
        self.probs = shares

    def __call__(self, inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W) and scores (B, num_classes), mixed."""
        chosen = int(np.searchsorted(np.cumsum(self.probs), np.random.random(), side="right"))
        if chosen >= len(self.augments):
            return inputs, scores
        mixed: tuple[Tensor, Tensor] = self.augments[chosen](inputs, scores)
        return mixed


@MODELS.register_module()
class Mixup:
    """Add images pairwise, the first with a share drawn from Beta(alpha, alpha) (Zhang et al. 2018)."""

    def __init__(self, alpha: float) -> None:
        self.alpha = _positive(alpha)

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed images and scores."""
        share = float(np.random.beta(self.alpha, self.alpha))
        other = torch.randperm(len(batch_inputs))
        return _blend(batch_inputs, batch_inputs[other], share), _blend(batch_scores, batch_scores[other], share)


@MODELS.register_module()
class CutMix:
    """Paste a rectangle of another image, its area drawn from Beta(alpha, alpha) (Yun et al. 2019).

    `correct_lam` weighs the scores by the area that was pasted, which the image's edge may have cut.
    """

    def __init__(self, alpha: float, correct_lam: bool = True) -> None:
        self.alpha, self.correct_lam = _positive(alpha), correct_lam

    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed images and scores."""
        share = float(np.random.beta(self.alpha, self.alpha))
        other = torch.randperm(len(batch_inputs))
        height, width = (int(each) for each in batch_inputs.shape[-2:])
        top, bottom = _span(height, share)
        left, right = _span(width, share)
        mixed = batch_inputs.clone()
        mixed[..., top:bottom, left:right] = batch_inputs[other, ..., top:bottom, left:right]
        if self.correct_lam:
            share = 1 - (bottom - top) * (right - left) / (height * width)
        return mixed, _blend(batch_scores, batch_scores[other], share)


def _span(length: int, share: float) -> tuple[int, int]:
    """Return where a cut begins and ends: its middle is drawn, its length is that of a rectangle of area 1 - share."""
    half = int(length * (1 - share) ** 0.5) // 2
    middle = int(np.random.randint(0, length))
    return max(middle - half, 0), min(middle + half, length)


def _blend(first: Tensor, second: Tensor, share: float) -> Tensor:
    return share * first + (1 - share) * second


def _positive(alpha: float) -> float:
    if alpha <= 0:
        raise ValueError(f"`alpha` must be positive, not {alpha}")
    return float(alpha)


def _as_list(probs: float | Sequence[float]) -> list[float]:
    return [float(probs)] if isinstance(probs, int | float) else [float(each) for each in probs]
