"""COCO's summary figures, read off the tables of precision and recall that the evaluation accumulates.

precision: (IoU thresholds, 101 recalls, classes, areas, detection limits); recall: the same without recalls. Areas are
all, small (< 32²), medium (< 96²), large. -1 marks cells without objects. Source: COCO API `COCOeval.summarize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PRECISION_ITEMS: dict[str, tuple[float | None, int]] = {
    "mAP": (None, 0),
    "mAP_50": (0.5, 0),
    "mAP_75": (0.75, 0),
    "mAP_s": (None, 1),
    "mAP_m": (None, 2),
    "mAP_l": (None, 3),
}
RECALL_ITEMS: dict[str, tuple[int, int]] = {
    "AR@100": (0, 0),
    "AR@300": (1, 0),
    "AR@1000": (2, 0),
    "AR_s@1000": (2, 1),
    "AR_m@1000": (2, 2),
    "AR_l@1000": (2, 3),
}
DEFAULT_ITEMS = {"bbox": tuple(PRECISION_ITEMS), "segm": tuple(PRECISION_ITEMS), "proposal": tuple(RECALL_ITEMS)}


def figures(tables: Mapping[str, Any], params: Any, items: Sequence[str]) -> dict[str, float]:
    """Return the named figures.

    As in the COCO API, `mAP` takes at most 100 detections an image and the other precisions the greatest limit; the
    names of the recalls say upstream's default limits, whatever the limits are.
    """
    found: dict[str, float] = {}
    for item in items:
        if item in PRECISION_ITEMS:
            iou, area = PRECISION_ITEMS[item]
            limits = list(params.maxDets)
            limit = limits.index(100) if item == "mAP" and 100 in limits else len(limits) - 1
            table = tables["precision"][_at(params.iouThrs, iou), :, :, area, limit]
        else:
            limit, area = RECALL_ITEMS[item]
            table = tables["recall"][:, :, area, min(limit, len(params.maxDets) - 1)]
        found[item] = _mean(table)
    return found


def class_figures(tables: Mapping[str, Any], params: Any, names: Mapping[Any, str]) -> dict[str, float]:
    """Return `<class>_precision` for each class; NaN where it has no object."""
    found: dict[str, float] = {}
    for place, category in enumerate(params.catIds):
        value = _mean(tables["precision"][:, :, place, 0, -1])
        found[f"{names[category]}_precision"] = value if value > -1 else float("nan")
    return found


def _at(thresholds: Any, iou: float | None) -> Any:
    return slice(None) if iou is None else np.flatnonzero(np.isclose(thresholds, iou))


def _mean(table: Any) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else -1.0
