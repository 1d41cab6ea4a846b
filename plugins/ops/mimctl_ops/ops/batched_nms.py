"""Suppression within each class, by the rule that a config names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from mimctl_ops.checks import check_tensor
from mimctl_ops.ops import nms, nms_rotated, soft_nms
from mimctl_ops.ops._suppression import check_labels, check_scored_boxes, detections

Select = Callable[..., tuple[Tensor, Tensor]]
"""Called with boxes, scores, labels or None, and the options of a rule by name; returns detections and rows."""

_OPTIONS = {
    "nms": ("iou_threshold", "offset", "score_threshold"),
    "soft_nms": ("iou_threshold", "sigma", "min_score", "method", "offset"),
    "nms_rotated": ("iou_threshold", "clockwise"),
}
_OF_ALL = ("type", "class_agnostic", "max_num", "split_thr", "iou_thr")


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping[str, Any] | None,
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Suppress boxes that overlap a better box of their class, by the rule that `nms_cfg` names.

    Boxes of different classes are kept apart by their class, never by moving them: coordinates keep their precision,
    and any coordinate and any class number will do.

    Args:
        boxes: (N, 4) floating point, `x1, y1, x2, y2`; for "nms_rotated" (N, 5), `x, y, width, height, angle`.
        scores: (N,) floating point, on the same device.
        idxs: (N,) whole numbers, the class of each box.
        nms_cfg: `type` is "nms" (default), "soft_nms" or "nms_rotated". Further keys are that function's arguments, as
            `iou_threshold` (or `iou_thr`), `offset`, `score_threshold`, `sigma`, `min_score`, `method`, `clockwise`;
            `max_num`, the most boxes to keep, where greater than 0; and `class_agnostic`, which overrides the argument.
            `split_thr` is accepted and changes nothing: how many boxes there are never changes the rule.
            None: nothing is suppressed, the boxes are sorted.
        class_agnostic: let boxes suppress those of other classes, too.

    Returns:
        (K, 5) or (K, 6) boxes and scores of what is kept, greatest score first, and (K,) int64, their rows. Scores are
        the lowered ones for "soft_nms". Differentiable as far as the rule is.

    Raises:
        TypeError or ValueError: an argument, or a key of `nms_cfg`, is not as above.
    """
    return _batched(_OPERATORS, boxes, scores, idxs, nms_cfg, class_agnostic)


def batched_nms_reference(
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping[str, Any] | None,
    class_agnostic: bool = False,
) -> tuple[Tensor, Tensor]:
    """Pure-PyTorch twin of `batched_nms`."""
    return _batched(_TWINS, boxes, scores, idxs, nms_cfg, class_agnostic)


_OPERATORS: Mapping[str, Select] = {
    "nms": partial(nms.select, nms.OP),
    "soft_nms": partial(soft_nms.select, soft_nms.OP),
    "nms_rotated": partial(nms_rotated.select, nms_rotated.OP),
}
_TWINS: Mapping[str, Select] = {
    "nms": partial(nms.select, nms.find_rows),
    "soft_nms": partial(soft_nms.select, soft_nms.find_rows),
    "nms_rotated": partial(nms_rotated.select, nms_rotated.find_rows),
}


def _batched(
    rules: Mapping[str, Select],
    boxes: Tensor,
    scores: Tensor,
    idxs: Tensor,
    nms_cfg: Mapping[str, Any] | None,
    class_agnostic: bool,
) -> tuple[Tensor, Tensor]:
    check_tensor("batched_nms", "boxes", boxes, "(N, 4) or (N, 5)", dim=2)
    if nms_cfg is None:
        check_scored_boxes("batched_nms", "boxes", boxes, boxes.shape[-1], scores)
        rows = scores.sort(descending=True, stable=True).indices
        return detections(boxes, scores, rows), rows
    kind, options = _read(nms_cfg)
    labels = None if nms_cfg.get("class_agnostic", class_agnostic) else check_labels("batched_nms", "idxs", idxs, boxes)
    dets, rows = rules[kind](boxes, scores, labels, **options)
    max_num = nms_cfg.get("max_num", -1)
    return (dets[:max_num], rows[:max_num]) if max_num > 0 else (dets, rows)


def _read(cfg: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the type that a config names, and the options for it."""
    kind = cfg.get("type", "nms")
    if kind not in _OPTIONS:
        raise ValueError(f"batched_nms: nms_cfg has the type {kind!r}; there are {', '.join(_OPTIONS)}")
    for key in cfg:
        if key not in _OPTIONS[kind] and key not in _OF_ALL:
            raise ValueError(f"batched_nms: nms_cfg has the key {key!r}, which {kind} does not know")
    options = {key: cfg[key] for key in _OPTIONS[kind] if key in cfg}
    if "iou_thr" in cfg:
        if "iou_threshold" in cfg:
            raise ValueError("batched_nms: nms_cfg has both iou_threshold and iou_thr, its old name")
        options["iou_threshold"] = cfg["iou_thr"]
    if "iou_threshold" not in options and kind != "soft_nms":
        raise ValueError(f"batched_nms: nms_cfg needs iou_threshold for {kind}")
    return kind, options
