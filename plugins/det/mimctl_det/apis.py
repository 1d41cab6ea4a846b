"""Python entry points of the toolbox, under the field's names as well: build a detector, run it, draw what it found."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimctl.engine.infer import inference_model, init_model
from mimctl.vision.drawing import draw_boxes


def init_detector(
    config: Any,
    checkpoint: str | Path | None = None,
    palette: str = "none",
    device: str = "cpu",
    cfg_options: dict[str, Any] | None = None,
) -> Any:
    """Return a detector in eval mode; `model.dataset_meta["classes"]` are its class names.

    `palette` is accepted for old scripts; colours are chosen when drawing.
    """
    del palette
    return init_model(config, checkpoint, device=device, overrides=cfg_options)


def inference_detector(model: Any, imgs: Any) -> Any:
    """Return a DetDataSample for one image (path, or BGR uint8 array), or a list of them for a list of images."""
    return inference_model(model, imgs)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing: names are found through the registry tables. Kept so that old scripts run."""
    del init_default_scope
    warnings.warn("register_all_modules() is not needed: modules are registered when they are used", stacklevel=2)


def to_rows(sample: Any, classes: tuple[str, ...], *, score_thr: float = 0.3) -> list[dict[str, Any]]:
    """Return the boxes of a prediction above a score (0..1), best first, as plain data.

    Each row has `label` (class name), `class` (index), `score`, `box` [x1, y1, x2, y2] in pixels of the image.
    """
    found = sample.pred_instances.cpu()
    keep = found.scores > score_thr
    rows = zip(found.labels[keep].tolist(), found.scores[keep].tolist(), found.bboxes[keep].tolist(), strict=True)
    return [
        {
            "label": classes[label] if label < len(classes) else str(label),
            "class": label,
            "score": round(score, 4),
            "box": [round(number, 1) for number in box],
        }
        for label, score, box in sorted(rows, key=lambda row: -row[1])
    ]


def draw_rows(
    picture: npt.NDArray[np.uint8], rows: list[dict[str, Any]], classes: tuple[str, ...]
) -> npt.NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 RGB picture with the rows of `to_rows` drawn on it."""
    boxes = np.array([row["box"] for row in rows], np.float32).reshape(-1, 4)
    scores = [row["score"] for row in rows]
    return draw_boxes(picture, boxes, [row["class"] for row in rows], scores=scores, classes=classes)
