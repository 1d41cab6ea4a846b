"""The `infer` verb: find objects in images, write pictures with boxes, return the boxes as data."""

from __future__ import annotations

from typing import Any

from mimctl.spec import RunSpec
from mimctl.vision.inference import Rows, infer_images
from mimctl_det.apis import draw_rows, to_rows


def run(spec: RunSpec) -> dict[str, Any]:
    """Return {"classes", "images": [{"path", "picture", "boxes"}]} for every input image.

    Options: `score_thr` (0..1, default 0.3), `topk` (at most so many boxes an image), and those of
    `mimctl.vision.inference.infer_images`.
    """
    score_thr = float(spec.options.get("score_thr", 0.3))

    def rows(sample: Any, classes: tuple[str, ...]) -> Rows:
        return to_rows(sample, classes, score_thr=score_thr)[: spec.options.get("topk")]

    return infer_images(spec, rows, draw_rows, word="boxes")
