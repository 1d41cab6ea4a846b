"""The `infer` verb of toolboxes whose results are rows that can be drawn on the picture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mimctl.config import Config
from mimctl.engine.infer import init_model, iter_predictions, list_images
from mimctl.engine.reporting.events import open_events
from mimctl.errors import MimctlError
from mimctl.spec import RunSpec

Picture = npt.NDArray[np.uint8]
Rows = list[dict[str, Any]]
ToRows = Callable[[Any, tuple[str, ...]], Rows]
Draw = Callable[[Picture, Rows, tuple[str, ...]], Picture]


def infer_images(spec: RunSpec, to_rows: ToRows, draw: Draw, *, word: str) -> dict[str, Any]:
    """Return {"classes", "images": [{"path", "picture", `word`: rows}]} for every input image.

    `to_rows` makes rows (`label`, `class`, `score`, …) of a prediction and the class names; `draw` writes them on an
    RGB picture. Options: `out_dir` (where pictures are written, default `outputs`; null writes none), `batch_size`
    (default 1). Raises MimctlError[checkpoint-not-found], [data-not-found], [cannot-write].
    """
    if spec.checkpoint is None:
        raise MimctlError("`infer` needs a checkpoint", code="checkpoint-not-found")
    images = list_images(spec.inputs)
    config = Config.fromfile(spec.config) if spec.config else None
    model: Any = init_model(config, spec.checkpoint, device=spec.launcher.device, overrides=dict(spec.overrides))
    classes = tuple(model.dataset_meta.get("classes", ()))
    out_dir = spec.options.get("out_dir", "outputs")
    predictions = iter_predictions(model, images, batch_size=int(spec.options.get("batch_size", 1)))
    results = []
    taken: set[Path] = set()
    with contextlib.closing(open_events(spec)) as events:
        events.emit("phase", phase="infer")
        for number, (path, sample) in enumerate(zip(images, predictions, strict=True), start=1):
            rows = to_rows(sample, classes)
            picture = None
            if out_dir is not None:
                target = _free_name(path, Path(out_dir).resolve(), taken)
                picture = write_picture(draw(_read(path), rows, classes), target)
            results.append({"path": str(path), "picture": picture, word: rows})
            events.emit("step", phase="infer", step=number, steps=len(images), scalars={word: len(rows)})
    return {"classes": list(classes), "images": results}


def write_picture(picture: Picture, target: Path) -> str:
    """Write an RGB picture, whole or not at all, and return its path. Raises MimctlError[cannot-write]."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    if not cv2.imwrite(str(temporary), picture[..., ::-1]):
        raise MimctlError(f"cannot write the picture `{target}`", code="cannot-write")
    temporary.replace(target)
    return str(target)


def _read(path: Path) -> Picture:
    image = cv2.imread(str(path))
    if image is None:
        raise MimctlError(f"{path} is not a readable image", code="unreadable-image")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _free_name(path: Path, out_dir: Path, taken: set[Path]) -> Path:
    """Return where the picture goes: two images of one name in different folders do not overwrite each other."""
    target, number = out_dir / f"{path.stem}.jpg", 1
    while target in taken:
        number += 1
        target = out_dir / f"{path.stem}_{number}.jpg"
    taken.add(target)
    return target
