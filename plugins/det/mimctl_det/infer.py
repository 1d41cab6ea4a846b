"""The `infer` verb: find objects in images, write pictures with boxes, return the boxes as data."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import cv2

from mimctl.config import Config
from mimctl.engine.events import open_events
from mimctl.engine.infer import init_model, iter_predictions, list_images
from mimctl.errors import MimctlError
from mimctl.spec import RunSpec
from mimctl_det.apis import draw_rows, to_rows


def run(spec: RunSpec) -> dict[str, Any]:
    """Return {"images": [{"path", "picture", "boxes"}]} for every input image.

    Options: `score_thr` (0..1, default 0.3), `out_dir` (where pictures are written, default `outputs`; null writes
    none), `batch_size` (default 1).
    """
    if spec.checkpoint is None:
        raise MimctlError("`infer` needs a checkpoint", code="checkpoint-not-found")
    images = list_images(spec.inputs)
    config = Config.fromfile(spec.config) if spec.config else None
    model = init_model(config, spec.checkpoint, device=spec.launcher.device, overrides=dict(spec.overrides))
    classes = tuple(model.dataset_meta.get("classes", ()))  # type: ignore[union-attr, operator]
    score_thr = float(spec.options.get("score_thr", 0.3))
    out_dir = spec.options.get("out_dir", "outputs")
    predictions = iter_predictions(model, images, batch_size=int(spec.options.get("batch_size", 1)))
    results = []
    with contextlib.closing(open_events(spec)) as events:
        events.emit("phase", phase="infer")
        for number, (path, sample) in enumerate(zip(images, predictions, strict=True), start=1):
            rows = to_rows(sample, classes, score_thr=score_thr)
            picture = None
            if out_dir is not None:
                picture = _write_picture(path, rows, classes, _free_name(path, Path(out_dir), results))
            results.append({"path": str(path), "picture": picture, "boxes": rows})
            events.emit("step", phase="infer", step=number, steps=len(images), scalars={"boxes": len(rows)})
    return {"classes": list(classes), "images": results}


def _free_name(path: Path, out_dir: Path, results: list[dict[str, Any]]) -> Path:
    """Return where the picture goes: two images of one name in different folders do not overwrite each other."""
    taken = {result["picture"] for result in results}
    names = (f"{path.stem}{suffix}.jpg" for suffix in ("", *(f"_{number}" for number in range(2, len(results) + 3))))
    return next(target for name in names if str(target := out_dir.resolve() / name) not in taken)


def _write_picture(path: Path, rows: list[dict[str, Any]], classes: tuple[str, ...], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_rows(cv2.imread(str(path))[..., ::-1], rows, classes)
    temporary = target.with_name(f".{target.stem}.part.jpg")
    if not cv2.imwrite(str(temporary), drawn[..., ::-1]):
        raise MimctlError(f"cannot write the picture `{target}`", code="cannot-write")
    temporary.replace(target)
    return str(target)
