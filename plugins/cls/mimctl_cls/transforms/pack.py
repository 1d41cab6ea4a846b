"""PackInputs: the end of a pipeline, from a dict of arrays to an image tensor and a DataSample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms.tensors import image_to_tensor
from mimctl_cls.structures import DataSample

META_KEYS = ("sample_idx", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """Return `inputs`, a tensor (C, H, W) of the image's dtype, and `data_samples`, a DataSample.

    The image is that under `input_key`; `gt_label` and `gt_score`, and values under `algorithm_keys`, become data of
    the sample, values under `meta_keys` metainfo. Keys that the sample lacks are left out.
    """

    def __init__(
        self, input_key: str = "img", algorithm_keys: Sequence[str] = (), meta_keys: Sequence[str] = META_KEYS
    ) -> None:
        self.input_key = input_key
        self.algorithm_keys = tuple(algorithm_keys)
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: Sample) -> dict[str, Any]:
        """Pack the sample."""
        packed: dict[str, Any] = {}
        if self.input_key in results:
            packed["inputs"] = image_to_tensor(results[self.input_key])
        sample = DataSample()
        if "gt_label" in results:
            sample.set_gt_label(results["gt_label"])
        if "gt_score" in results:
            sample.set_gt_score(results["gt_score"])
        for keys, kind in ((self.algorithm_keys, "data"), (self.meta_keys, "metainfo")):
            for key in keys:
                if key in results:
                    sample.set_field(results[key], key, field_type=kind)
        packed["data_samples"] = sample
        return packed
