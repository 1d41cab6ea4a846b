"""Precision, recall, F1 and support out of positive predictions and positive truths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mimctl.errors import ConfigError

ITEMS = ("precision", "recall", "f1-score", "support")
AVERAGES = ("micro", "macro", None)
Figures = tuple[Tensor, Tensor, Tensor, Tensor]


def precision_recall_f1_support(predicted: Tensor, truth: Tensor, average: str | None) -> Figures:
    """Return the four figures; the first three in percent, 0 where nothing was predicted or is there.

    `predicted` and `truth` are integers (N, classes), 1 for positive; where `truth` is -1 neither counts. `average` is
    "macro" (the mean over classes), "micro" (over all classes together) or None (tensors of one figure a class).
    """
    require_average(average, AVERAGES)
    known = truth != -1
    predicted, truth = (predicted > 0) & known, (truth > 0) & known
    hits, found, there = (
        (each.sum() if average == "micro" else each.sum(0)) for each in (predicted & truth, predicted, truth)
    )
    precision = hits / found.clamp(min=1).float() * 100
    recall = hits / there.clamp(min=1).float() * 100
    f1_score = 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float32).eps)
    if average is None:
        return precision, recall, f1_score, there
    return precision.mean(), recall.mean(), f1_score.mean(), there.sum()


def named(figures: Figures, items: Sequence[str], average: str | None, suffix: str) -> dict[str, object]:
    """Return the wanted figures by name: `precision`, `precision_micro`, `precision_classwise` (a list)."""
    ending = {"macro": "", "micro": "_micro", None: "_classwise"}[average]
    return {
        f"{name}{suffix}{ending}": figure.tolist() for name, figure in zip(ITEMS, figures, strict=True) if name in items
    }


def require_items(items: Sequence[str]) -> tuple[str, ...]:
    """Return the names of figures; raise ConfigError[bad-argument] for an unknown one."""
    unknown = [each for each in items if each not in ITEMS]
    if unknown:
        raise ConfigError(f"unknown figure `{unknown[0]}`", code="bad-argument", causes=[f"known: {', '.join(ITEMS)}"])
    return tuple(items)


def require_average(average: str | None, known: Sequence[str | None]) -> None:
    """Raise ConfigError[bad-argument] for an unknown way to average."""
    if average not in known:
        raise ConfigError(
            f"unknown average `{average}`", code="bad-argument", causes=[f"known: {', '.join(map(str, known))}"]
        )
