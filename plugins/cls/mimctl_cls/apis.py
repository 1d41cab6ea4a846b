"""Python entry points of the toolbox, under the field's names as well: build a classifier, run it, draw its result."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimctl.engine.infer import inference_model as predict
from mimctl.engine.infer import init_model as build
from mimctl_cls.visualization import UniversalVisualizer, enlarged

Picture = npt.NDArray[np.uint8]


def init_model(config: Any, checkpoint: str | Path | None = None, device: str | None = None, **kwargs: Any) -> Any:
    """Return a classifier in eval mode; `model.dataset_meta["classes"]` are its class names.

    Without a config the one that the checkpoint carries is read, as data. `kwargs` change the config's `model`.
    """
    overrides = {f"model.{key}": value for key, value in kwargs.items()}
    return build(config, checkpoint, device=device or "cpu", overrides=overrides or None)


def get_model(model: Any, pretrained: bool | str = False, device: str | None = None, **kwargs: Any) -> Any:
    """Return a classifier from a config (or its file) and weights of a path; names of a zoo are not looked up here."""
    if pretrained is True:
        raise ValueError("name the weights: `pretrained='FILE.pth'` (`mimctl download cls --config NAME` fetches them)")
    return init_model(model, pretrained or None, device, **kwargs)


def inference_model(model: Any, img: Any, **kwargs: Any) -> Any:
    """Return the result for one image (path, or BGR uint8 array), or a list of them for a list of images.

    A result has `pred_scores` (an array with one for each class), `pred_label`, `pred_score` and, where the class
    names are known, `pred_class`. `kwargs` are `batch_size`.
    """
    found = predict(model, img, **kwargs)
    classes = tuple(model.dataset_meta.get("classes", ()))
    return [_result(each, classes) for each in found] if isinstance(found, list) else _result(found, classes)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Do nothing: names are found through the registry tables. Kept so that old scripts run."""
    del init_default_scope
    warnings.warn("register_all_modules() is not needed: modules are registered when they are used", stacklevel=2)


def to_rows(
    sample: Any, classes: tuple[str, ...], *, topk: int = 5, score_thr: float | None = None
) -> list[dict[str, Any]]:
    """Return the best `topk` classes of a prediction as plain data, the best first.

    Each row has `label` (class name), `class` (index) and `score` (0..1); those at or below `score_thr` are left out.
    """
    scores = sample.pred_score.cpu()
    best = scores.argsort(descending=True, stable=True)[:topk].tolist()
    return [
        {"label": _name(each, classes), "class": each, "score": round(float(scores[each]), 4)}
        for each in best
        if score_thr is None or scores[each] > score_thr
    ]


def draw_rows(picture: Picture, rows: list[dict[str, Any]]) -> Picture:
    """Return the (H, W, 3) uint8 RGB picture, enlarged where it is tiny, with the rows of `to_rows` written on it."""
    lines = [f"{row['label']} {row['score']:.2f}" for row in rows]
    return UniversalVisualizer().draw_lines_of_text(enlarged(picture), lines)


def _result(sample: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    scores = sample.pred_score.cpu().numpy()
    label = int(scores.argmax())
    named = {"pred_class": classes[label]} if label < len(classes) else {}
    return {"pred_scores": scores, "pred_label": label, "pred_score": float(scores[label]), **named}


def _name(label: int, classes: tuple[str, ...]) -> str:
    return classes[label] if label < len(classes) else str(label)
