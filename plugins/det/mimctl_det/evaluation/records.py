"""Plain records of one image's predictions and truth, as metrics collect them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

Sample = Mapping[str, Any]


def prediction_record(sample: Sample) -> dict[str, Any]:
    """Return `img_id`, `shape` (height, width), float64 `boxes` (N, 4; xyxy), `scores`, `labels`, perhaps `masks`.

    Masks are run-length codes; `mask_scores` stand beside them where the model gives their own.
    """
    found = sample["pred_instances"]
    record: dict[str, Any] = {
        "img_id": sample["img_id"],
        "shape": [int(each) for each in sample["ori_shape"][:2]],
        "boxes": to_array(found["bboxes"]).astype(np.float64).reshape(-1, 4),
        "scores": to_array(found["scores"]).astype(np.float64),
        "labels": to_array(found["labels"]).astype(np.int64),
    }
    if "masks" in found:
        record["masks"] = encode_masks(found["masks"])
        if "mask_scores" in found:
            record["mask_scores"] = to_array(found["mask_scores"]).astype(np.float64)
    return record


def truth_record(sample: Sample) -> list[dict[str, Any]]:
    """Return the annotated objects of an image, in pixels of the original image.

    They are what the dataset read (`raw_instances` in test mode, or `instances` named in meta_keys); else those the
    pipeline packed, which must then have been loaded after resizing (as upstream's test pipelines do).
    """
    for key in ("raw_instances", "instances"):
        if key in sample:
            return [dict(each) for each in sample[key]]
    objects: list[dict[str, Any]] = []
    for field, flag in (("gt_instances", 0), ("ignored_instances", 1)):
        instances = sample.get(field) or {}
        if "bboxes" not in instances:
            continue
        labels = to_array(instances["labels"]).tolist()
        objects += [
            {"bbox": box, "bbox_label": label, "ignore_flag": flag}
            for box, label in zip(to_array(instances["bboxes"]).tolist(), labels, strict=True)
        ]
    return objects


def has_truth(sample: Sample) -> bool:
    """Tell whether a sample carries annotated objects (or the fact that there are none)."""
    return any(key in sample for key in ("raw_instances", "instances", "gt_instances"))


def encode_masks(masks: Any) -> list[dict[str, Any]]:
    """Return COCO's run-length codes of masks (N, H, W), `counts` as text; codes are taken as they are."""
    from faster_coco_eval.core import mask as coder

    if not isinstance(masks, list):
        stacked = np.asarray(to_array(masks), np.uint8)
        masks = [coder.encode(np.asfortranarray(each)) for each in stacked]
    return [_plain_code(each) for each in masks]


def _plain_code(code: Mapping[str, Any]) -> dict[str, Any]:
    counts = code["counts"]
    return {
        "size": [int(each) for each in code["size"]],
        "counts": counts.decode() if isinstance(counts, bytes) else counts,
    }


def to_array(value: Any) -> np.ndarray[Any, Any]:
    """Return a tensor or array as an array on the CPU."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
