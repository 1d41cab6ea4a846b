"""The operators of mimctl-ops as the toolboxes call them; no other file imports `mimctl_ops`.

Whether compiled code or pure PyTorch serves is mimctl-ops' business (`mimctl doctor` tells). Where it is not installed
at all, the plain loops below suppress upright boxes; everything else asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mimctl.errors import ConfigError, MimctlError, nearest
from mimctl.names import VISION

_OPTIONS = {
    "nms": ("iou_threshold", "offset", "score_threshold"),
    "soft_nms": ("iou_threshold", "sigma", "min_score", "method", "offset"),
    "nms_rotated": ("iou_threshold", "clockwise"),
}
_OF_ALL = ("type", "iou_thr", "class_agnostic", "split_thr", "max_num")


class MissingOperatorError(MimctlError, ImportError):
    """An operator of mimctl-ops is imported where that is not installed; what is optional may catch ImportError."""

    default_code = "missing-extra"


def __getattr__(name: str) -> Any:
    """Return an operator of mimctl-ops that has no plain loop here."""
    if name not in VISION or VISION[name] != __name__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    operators = _operators()
    if operators is None:
        raise MissingOperatorError(
            f"`{name}` needs mimctl-ops, which is not installed", hints=["install it: `mimctl install mimctl-ops`"]
        )
    return getattr(operators, name)


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    offset: int = 0,
    score_threshold: float = 0,
    max_num: int = -1,
) -> tuple[Tensor, Tensor]:
    """Return the boxes to keep with their scores (K, 5), best first, and their rows, int64 (K,).

    A box is dropped when its IoU with a kept one of a better score is above `iou_threshold`. `boxes` is (N, 4),
    x1 y1 x2 y2; `scores` is (N,). `offset` is 1 where x2 y2 are the last pixels inside; boxes whose score is not above
    a positive `score_threshold` are left out; a positive `max_num` is the most that are kept. MimctlError where
    mimctl-ops is installed and cannot be loaded.
    """
    operators = _operators()
    if operators is not None:
        kept: tuple[Tensor, Tensor] = operators.nms(boxes, scores, iou_threshold, offset, score_threshold, max_num)
        return kept
    cfg = {"iou_threshold": iou_threshold, "offset": offset, "score_threshold": score_threshold, "max_num": max_num}
    rows = _plain_batched_nms(boxes, scores, scores.new_zeros(len(scores), dtype=torch.long), cfg, class_agnostic=True)
    return torch.cat((boxes[rows], scores[rows].unsqueeze(1)), dim=1), rows


def batched_nms(
    boxes: Tensor, scores: Tensor, idxs: Tensor, nms_cfg: Mapping[str, Any] | None, class_agnostic: bool = False
) -> tuple[Tensor, Tensor]:
    """Suppress within each class: return boxes with their scores (K, 5 or 6), best first, and their rows (K,).

    `idxs` (N,) is the class of each box. `nms_cfg` has the `type`, "nms", "soft_nms" or "nms_rotated", its options, as
    `iou_threshold` (`iou_thr`), and for all of them `class_agnostic` and `max_num`; None only sorts. ConfigError for
    anything else; MimctlError where mimctl-ops is needed and missing, or installed and cannot be loaded.
    """
    kind = "nms" if nms_cfg is None else _check(nms_cfg)
    operators = _operators()
    if operators is not None:
        detections: tuple[Tensor, Tensor] = operators.batched_nms(boxes, scores, idxs, nms_cfg, class_agnostic)
        return detections
    if kind != "nms":
        raise MimctlError(
            f"`{kind}` needs mimctl-ops, which is not installed",
            code="missing-extra",
            hints=["install it: `mimctl install mimctl-ops`"],
        )
    keep = _plain_batched_nms(boxes, scores, idxs, nms_cfg, class_agnostic)
    return torch.cat((boxes[keep], scores[keep].unsqueeze(1)), dim=1), keep


def _check(cfg: Mapping[str, Any]) -> str:
    """Return the type of suppression that a config names; ConfigError where it is not one that could be done."""
    kind = str(cfg.get("type", "nms"))
    if kind not in _OPTIONS:
        known = ", ".join(f"`{each}`" for each in _OPTIONS)
        raise ConfigError(f"unknown suppression `{kind}`", code="unknown-type", hints=[f"there are {known}"])
    allowed = {*_OPTIONS[kind], *_OF_ALL}
    for key in cfg:
        if key not in allowed:
            raise ConfigError(
                f"`{kind}` has no argument `{key}`",
                code="bad-argument",
                hints=[f"did you mean `{each}`?" for each in nearest(key, allowed, most=1)],
            )
    if kind != "soft_nms" and "iou_threshold" not in cfg and "iou_thr" not in cfg:
        raise ConfigError(f"`{kind}` needs `iou_threshold`", code="missing-argument")
    return kind


@cache
def _operators() -> ModuleType | None:
    """Return mimctl-ops, or None where it is not installed; an installed one that cannot serve is an error."""
    try:
        import mimctl_ops
    except ModuleNotFoundError as err:
        if err.name != "mimctl_ops":
            raise
        return None
    status = mimctl_ops.status()
    if status.tier == "failed":
        raise MimctlError(
            f"the operators of mimctl-ops {status.version or ''} ({status.backend}) cannot be used",
            code="ops-cannot-load",
            causes=[
                str(status.error),
                f"torch {status.torch} is installed; this build needs torch >= {status.min_torch}",
            ],
            hints=[str(status.hint)],
        )
    return mimctl_ops


def _plain_batched_nms(
    boxes: Tensor, scores: Tensor, idxs: Tensor, cfg: Mapping[str, Any] | None, class_agnostic: bool
) -> Tensor:
    """Return the rows to keep, best first, class by class."""
    if cfg is None:
        return scores.sort(descending=True, stable=True).indices
    minimum, most = cfg.get("score_threshold", 0), cfg.get("max_num", -1)
    rows = (scores > minimum).nonzero().squeeze(1) if minimum > 0 else torch.arange(len(scores), device=scores.device)
    agnostic = cfg.get("class_agnostic", class_agnostic)
    classes, order = (idxs[rows] * 0 if agnostic else idxs[rows]).sort(stable=True)
    counts = torch.unique_consecutive(classes, return_counts=True)[1].tolist()
    measured = boxes + boxes.new_tensor([0, 0, 1, 1]) * cfg.get("offset", 0)
    threshold = float(cfg["iou_threshold"] if "iou_threshold" in cfg else cfg["iou_thr"])
    parts = torch.split(rows[order], counts)
    kept = [part[_plain_nms(measured[part], scores[part], threshold)] for part in parts]
    keep = torch.cat(kept).sort().values if kept else rows  # by row, so that equal scores keep that order
    keep = keep[scores[keep].sort(descending=True, stable=True).indices]
    return keep[:most] if most > 0 else keep


def _plain_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    from mimctl.vision.structures.boxes import bbox_overlaps

    rest = scores.sort(descending=True, stable=True).indices
    kept = []
    while rest.numel():
        kept.append(rest[:1])
        overlaps = bbox_overlaps(boxes[rest[:1]], boxes[rest[1:]], eps=torch.finfo(boxes.dtype).tiny)[0]
        rest = rest[1:][overlaps <= iou_threshold]
    return torch.cat(kept) if kept else rest
