"""The `infer` verb of toolboxes whose results are rows that can be drawn on the picture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mimctl.config import Config
from mimctl.engine.infer import init_model, iter_predictions, list_images
from mimctl.engine.ranks import distributed
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
    RGB picture. Several ranks share the images; the first one returns what all have found. Options: `out_dir` (where
    pictures are written, default `outputs`; null writes none), `batch_size` (default 1). Raises
    MimctlError[checkpoint-not-found], [data-not-found], [cannot-write].
    """
    if spec.checkpoint is None:
        raise MimctlError("`infer` needs a checkpoint", code="checkpoint-not-found")
    images = list_images(spec.inputs)
    config = Config.fromfile(spec.config) if spec.config else None
    model: Any = init_model(config, spec.checkpoint, device=_device(spec), overrides=dict(spec.overrides))
    classes = tuple(model.dataset_meta.get("classes", ()))
    distributed.init(spec.launcher.kind)  # only now, for ranks have the model alone, not in a wrapper that trains it
    try:
        results = _own_results(spec, model, images, to_rows, draw, word)
        found = distributed.collect_results(results, len(images))
    finally:
        distributed.shutdown()
    return {"classes": list(classes), "images": found or []}


def _own_results(
    spec: RunSpec, model: Any, images: Sequence[Path], to_rows: ToRows, draw: Draw, word: str
) -> list[dict[str, Any]]:
    """Return what is found in this rank's share of the images, each `world size`-th, and tell how far it is."""
    classes = tuple(model.dataset_meta.get("classes", ()))
    out_dir = spec.options.get("out_dir", "outputs")
    targets = _free_names(images, Path(out_dir).resolve()) if out_dir is not None else [None] * len(images)
    share = slice(distributed.get_rank(), None, distributed.get_world_size())
    own = images[share]
    predictions = iter_predictions(model, own, batch_size=int(spec.options.get("batch_size", 1)))
    results = []
    with contextlib.closing(open_events(spec)) as events:
        events.emit("phase", phase="infer")
        seen = zip(own, targets[share], predictions, strict=True)
        for number, (path, target, sample) in enumerate(seen, start=1):
            rows = to_rows(sample, classes)
            picture = write_picture(draw(_read(path), rows, classes), target) if target is not None else None
            results.append({"path": str(path), "picture": picture, word: rows})
            events.emit("step", phase="infer", step=number, steps=len(own), scalars={word: len(rows)})
    return results


def _device(spec: RunSpec) -> str:
    if spec.launcher.device == "cpu" or spec.launcher.kind == "none":
        return spec.launcher.device
    return f"cuda:{distributed.get_local_rank() % max(1, torch.cuda.device_count())}"


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


def _free_names(images: Sequence[Path], out_dir: Path) -> list[Path]:
    """Return where each picture goes: two images of one name in different folders do not overwrite each other."""
    taken: dict[Path, None] = {}
    for path in images:
        target, number = out_dir / f"{path.stem}.jpg", 1
        while target in taken:
            number += 1
            target = out_dir / f"{path.stem}_{number}.jpg"
        taken[target] = None
    return list(taken)
