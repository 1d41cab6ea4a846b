"""The operators of mimctl-ops as the toolboxes call them; no other file imports `mimctl_ops`.

Three tiers: compiled; pure PyTorch inside mimctl-ops (which warns where its compiled library cannot be loaded); and,
where mimctl-ops is not installed at all, the plain loop below.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from mimctl.errors import ConfigError, nearest

_NMS_KEYS = {"type", "iou_threshold", "iou_thr", "class_agnostic", "split_thr", "max_num", "score_threshold"}


class NmsFunction(Protocol):
    """Signature of the operator."""

    def __call__(self, boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor: ...


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the rows of the boxes to keep, best score first, as int64 (K,).

    A box is dropped when its IoU with a kept one of a better score is above `iou_threshold`. `boxes` is (N, 4),
    x1 y1 x2 y2; `scores` is (N,).
    """
    return _nms()(boxes, scores, iou_threshold)


def batched_nms(
    boxes: Tensor, scores: Tensor, idxs: Tensor, nms_cfg: Mapping[str, Any] | None, class_agnostic: bool = False
) -> tuple[Tensor, Tensor]:
    """Suppress within each class: return detections (K, 5), x1 y1 x2 y2 score, best first, and their rows (K,).

    `idxs` (N,) is the class of each box. `nms_cfg`: `type='nms'`, `iou_threshold` (`iou_thr`), and optionally
    `class_agnostic`, `max_num`, `score_threshold`; None only sorts. ConfigError for anything else.
    """
    if nms_cfg is None:
        keep = scores.sort(descending=True, stable=True).indices
        return _detections(boxes, scores, keep)
    threshold, agnostic = _check(nms_cfg, class_agnostic)
    minimum = nms_cfg.get("score_threshold", 0)
    rows = (scores > minimum).nonzero().squeeze(1) if minimum > 0 else None
    if rows is not None:
        boxes_in, scores_in, idxs_in = boxes[rows], scores[rows], idxs[rows]
    else:
        boxes_in, scores_in, idxs_in = boxes, scores, idxs
    if agnostic:
        keep = nms(boxes_in, scores_in, threshold)
    elif boxes.is_cpu and not torch.compiler.is_compiling():
        keep = _class_by_class(boxes_in, scores_in, idxs_in, threshold)
    else:
        keep = _all_classes_at_once(boxes_in, scores_in, idxs_in, threshold)
    most = nms_cfg.get("max_num", -1)
    keep = keep[:most] if most > 0 else keep
    return _detections(boxes, scores, keep if rows is None else rows[keep])


def _check(cfg: Mapping[str, Any], class_agnostic: bool) -> tuple[float, bool]:
    kind = cfg.get("type", "nms")
    if kind != "nms":
        raise ConfigError(f"unknown suppression `{kind}`", code="unknown-type", hints=["`nms` is available"])
    for key in cfg:
        if key not in _NMS_KEYS:
            raise ConfigError(
                f"`nms` has no argument `{key}`",
                code="bad-argument",
                hints=[f"did you mean `{each}`?" for each in nearest(key, _NMS_KEYS, most=1)],
            )
    threshold = cfg.get("iou_threshold", cfg.get("iou_thr"))
    if threshold is None:
        raise ConfigError("`nms` needs `iou_threshold`", code="missing-argument")
    return float(threshold), bool(cfg.get("class_agnostic", class_agnostic))


def _class_by_class(boxes: Tensor, scores: Tensor, idxs: Tensor, threshold: float) -> Tensor:
    # On the CPU many small problems cost far less than one large one, and coordinates stay as exact as they are.
    classes, rows = idxs.sort(stable=True)
    counts = torch.unique_consecutive(classes, return_counts=True)[1].tolist()
    kept = [part[nms(boxes[part], scores[part], threshold)] for part in torch.split(rows, counts)]
    if not kept:
        return rows
    keep = torch.cat(kept).sort().values  # in order of rows, so that equal scores keep that order
    return keep[scores[keep].sort(descending=True, stable=True).indices]


def _all_classes_at_once(boxes: Tensor, scores: Tensor, idxs: Tensor, threshold: float) -> Tensor:
    # Each class is moved to a place of its own where no box of another class can overlap it.
    if boxes.shape[0] == 0:
        return idxs.new_zeros(0)
    shifted = boxes + (idxs.to(boxes) * (boxes.max() + 1)).unsqueeze(1)
    return nms(shifted, scores, threshold)


def _detections(boxes: Tensor, scores: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat((boxes[keep], scores[keep].unsqueeze(1)), dim=1), keep


@cache
def _nms() -> NmsFunction:
    try:
        import mimctl_ops
    except ModuleNotFoundError as err:
        if err.name != "mimctl_ops":
            raise
        return _plain_nms
    return lambda boxes, scores, iou_threshold: mimctl_ops.nms(boxes, scores, iou_threshold)[1]


def _plain_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    from mimctl.vision.structures.boxes import bbox_overlaps

    rest = scores.sort(descending=True, stable=True).indices
    kept = []
    while rest.numel():
        kept.append(rest[:1])
        overlaps = bbox_overlaps(boxes[rest[:1]], boxes[rest[1:]], eps=torch.finfo(boxes.dtype).tiny)[0]
        rest = rest[1:][overlaps <= iou_threshold]
    return torch.cat(kept) if kept else rest
