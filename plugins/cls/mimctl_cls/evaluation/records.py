"""What metrics keep of each sample, and how they put it together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mimctl.errors import ConfigError

Values = Tensor | np.ndarray[Any, Any] | Sequence[Any]


def single_record(sample: dict[str, Any]) -> dict[str, Tensor]:
    """Return `gt_label` (1,) and, of a prediction, `pred_score` (classes,), else `pred_label` (1,); on the CPU."""
    key = "pred_score" if "pred_score" in sample else "pred_label"
    return {key: sample[key].detach().cpu(), "gt_label": sample["gt_label"].cpu()}


def single_targets(results: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return predictions, scores (N, classes) or labels (N,), and the true labels (N,) of all records."""
    target = torch.cat([each["gt_label"] for each in results])
    if "pred_score" in results[0]:
        return torch.stack([each["pred_score"] for each in results]), target
    return torch.cat([each["pred_label"] for each in results]), target


def to_tensor(value: Values) -> Tensor:
    """Return an array or a sequence as a tensor."""
    return torch.as_tensor(value)


def checked(pred: Values, target: Values, num_classes: int | None = None) -> tuple[Tensor, Tensor, int]:
    """Return predictions, int64 targets (N,) and the number of classes.

    `pred` is (N, classes) scores, or (N,) labels, which need `num_classes`. Raises ValueError where lengths differ or
    the number is missing, ConfigError[class-mismatch] for a label that is none of the classes.
    """
    pred, target = to_tensor(pred), to_tensor(target).to(torch.int64)
    if target.ndim != 1 or len(pred) != len(target):
        raise ValueError(f"{len(pred)} predictions do not fit targets of shape {tuple(target.shape)}: one label each")
    classes = num_classes or (pred.shape[1] if pred.ndim == 2 else None)
    if classes is None:
        raise ValueError("labels without scores need `num_classes`")
    for name, labels in (("true", target), ("predicted", pred)):
        if labels.ndim == 1 and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ConfigError(
                f"a {name} label is {int(labels.max())}, and there are {classes} classes",
                code="class-mismatch",
                hints=["the model's `num_classes` and the dataset's classes must agree"],
            )
    return pred, target, classes


def ranks(scores: Tensor, target: Tensor) -> Tensor:
    """Return how many classes stand before the true one, (N,), for scores (N, classes).

    Of equal scores the lower class number comes first. A score that is no number stands before all others, and a true
    class with such a score comes last.
    """
    own = scores.gather(1, target[:, None])
    before = ~(scores <= own)
    ties = (scores == own) & (torch.arange(scores.shape[1], device=scores.device) < target[:, None])
    return (before | ties).sum(1)


def several(value: Any) -> tuple[Any, ...]:
    """Return one number (or None) as a tuple, and a sequence as it is."""
    return (value,) if value is None or isinstance(value, int | float) else tuple(value)
