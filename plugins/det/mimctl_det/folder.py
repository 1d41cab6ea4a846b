"""The `data` verb: recognise a folder of images with boxes, report what is in it, and name its splits.

Runs before any training starts, without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimctl.spec import RunSpec
from mimctl.vision.folders.describe import describe_folder
from mimctl.vision.folders.model import Found, Layout, Split
from mimctl_det.layouts.coco import CocoLayout
from mimctl_det.layouts.voc import VocLayout
from mimctl_det.layouts.yolo import YoloLayout

LAYOUTS: tuple[Layout, ...] = (CocoLayout(), VocLayout(), YoloLayout())
KNOWN = (
    "no COCO file (JSON with images, annotations, categories), no Pascal VOC folder (Annotations/*.xml) and no YOLO "
    "folder (data.yaml, or images/ beside labels/) was found"
)
METRICS = ["CocoMetric", "VOCMetric", "DumpResults", "DumpDetResults"]


def describe(spec: RunSpec) -> dict[str, Any]:
    """Return a report of the folder `options["dir"]` as plain data (`mimctl.vision.folders.describe_folder`)."""
    report = describe_folder(spec, LAYOUTS, known=KNOWN, shortage=_shortage, objects="boxes")
    has_coco = report["layout"] == "coco"
    for split in report["splits"].values():
        # Without a COCO file the metric collects the truth from the samples.
        split["truth"] = str(Path(split["data_root"]) / split["ann_file"]) if has_coco else None
    report["metrics"] = {"known": METRICS, "instead": {"type": "CocoMetric", "metric": "bbox"}}
    report["lacking"] = {} if has_coco else {"with_mask": "masks"}
    return report


def _shortage(found: Found, splits: dict[str, Split]) -> list[str]:
    lacking = []
    if not found.classes:
        lacking.append("no box was found, so there is no class to learn")
    total = sum(len(split.samples) for split in found.splits.values())
    if "train" not in splits:
        lacking.append(f"{total} images are too few for a training and a validation split")
    for name, split in splits.items():
        if not split.samples:
            lacking.append(f"the split `{name}` has no image")
        elif name == "train" and not any(sample.labels for sample in split.samples):
            lacking.append("the split `train` has no box")
    return lacking
