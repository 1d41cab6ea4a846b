"""PackDetInputs: the end of a pipeline, from a dict of arrays to an image tensor and a DetDataSample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.engine.structures import InstanceData, PixelData
from mimctl.vision.structures import DetDataSample
from mimctl.vision.transforms.tensors import image_to_tensor

META_KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
FIELDS = {"gt_bboxes": "bboxes", "gt_bboxes_labels": "labels", "gt_masks": "masks"}


@TRANSFORMS.register_module()
class PackDetInputs(BaseTransform):
    """Return `inputs`, a tensor (C, H, W) of the image's dtype, and `data_samples`, a DetDataSample.

    Objects flagged to be ignored go to `ignored_instances`, the others to `gt_instances`. `meta_keys` that the
    sample has become metainfo, and in test mode `raw_instances` (the objects as annotated).
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: Sample) -> dict[str, Any]:
        """Pack the sample."""
        packed: dict[str, Any] = {}
        if "img" in results:
            packed["inputs"] = image_to_tensor(results["img"])
        sample = DetDataSample()
        sample.gt_instances, sample.ignored_instances = _instances(results)
        if "proposals" in results:
            sample.proposals = InstanceData(
                bboxes=torch.from_numpy(results["proposals"]), scores=torch.as_tensor(results["proposals_scores"])
            )
        if results.get("gt_seg_map") is not None:
            seg_map = torch.from_numpy(np.ascontiguousarray(results["gt_seg_map"][None]))
            sample.gt_sem_seg = PixelData(sem_seg=seg_map)
        keys = (*self.meta_keys, "raw_instances")
        sample.set_metainfo({key: results[key] for key in keys if key in results})
        packed["data_samples"] = sample
        return packed


def _instances(results: Sample) -> tuple[InstanceData, InstanceData]:
    flags = results.get("gt_ignore_flags")
    kept, ignored = InstanceData(), InstanceData()
    for key, name in FIELDS.items():
        if results.get(key) is None:
            continue
        value = results[key]
        if flags is not None and flags.any():
            _put(ignored, name, value[flags])
            value = value[~flags]
        elif flags is not None:
            _put(ignored, name, value[:0])
        _put(kept, name, value)
    return kept, ignored


def _put(instances: InstanceData, name: str, value: Any) -> None:
    setattr(instances, name, torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value)
