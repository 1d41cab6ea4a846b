"""The sample of detection and instance segmentation: truth, proposals and predictions of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mimctl.engine.structures import BaseDataElement, InstanceData, PixelData


class DetDataSample(BaseDataElement):
    """Hold what is known of one image.

    Boxes are float32 tensors (N, 4), x1 y1 x2 y2 in pixels. Metainfo: `img_id`, `img_path`, `ori_shape`, `img_shape`
    (height, width), `scale_factor` (width, height) and what the pipeline adds.
    """

    FIELD_TYPES: ClassVar[Mapping[str, type]] = {
        "proposals": InstanceData,
        "gt_instances": InstanceData,
        "pred_instances": InstanceData,
        "ignored_instances": InstanceData,
        "pred_track_instances": InstanceData,
        "gt_panoptic_seg": PixelData,
        "pred_panoptic_seg": PixelData,
        "gt_sem_seg": PixelData,
        "pred_sem_seg": PixelData,
    }
