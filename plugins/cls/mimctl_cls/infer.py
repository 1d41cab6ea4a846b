"""The `infer` verb: tell what images show, write the answer on pictures, return it as data."""

from __future__ import annotations

from typing import Any

from mimctl.spec import RunSpec
from mimctl.vision.inference import Picture, Rows, infer_images
from mimctl_cls.apis import draw_rows, to_rows


def run(spec: RunSpec) -> dict[str, Any]:
    """Return {"classes", "images": [{"path", "picture", "labels"}]} for every input image, its best classes first.

    Options: `topk` (default 5), `score_thr` (0..1; classes at or below it are left out, default none), and those of
    `mimctl.vision.inference.infer_images`.
    """
    topk, score_thr = int(spec.options.get("topk", 5)), spec.options.get("score_thr")

    def rows(sample: Any, classes: tuple[str, ...]) -> Rows:
        return to_rows(sample, classes, topk=topk, score_thr=score_thr)

    def draw(picture: Picture, found: Rows, classes: tuple[str, ...]) -> Picture:
        return draw_rows(picture, found)

    return infer_images(spec, rows, draw, word="labels")
