"""Preprocessing of detection batches: normalise, pad, tell every sample the size of the batch."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl.engine.model import ImgDataPreprocessor
from mimctl.engine.registry import MODELS
from mimctl.vision.structures import DetDataSample


@MODELS.register_module()
class DetDataPreprocessor(ImgDataPreprocessor):
    """ImgDataPreprocessor that also pads masks and segmentation maps and runs `batch_augments` in training.

    Sets the metainfo `batch_input_shape` (the batch's height and width) and `pad_shape` (the sample's own, padded to
    `pad_size_divisor`).
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        pad_mask: bool = False,
        mask_pad_value: int = 0,
        pad_seg: bool = False,
        seg_pad_value: int = 255,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        boxtype2tensor: bool = True,
        non_blocking: bool = False,
        batch_augments: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(mean, std, pad_size_divisor, pad_value, bgr_to_rgb, rgb_to_bgr, non_blocking)
        self.pad_mask, self.mask_pad_value = pad_mask, mask_pad_value
        self.pad_seg, self.seg_pad_value = pad_seg, seg_pad_value
        self.boxtype2tensor = boxtype2tensor  # boxes are plain tensors already
        self.batch_augments = nn.ModuleList(MODELS.build(each) for each in batch_augments) if batch_augments else None

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Return `inputs` (B, C, H, W) and `data_samples` with their shapes set."""
        shapes = [self._padded(image.shape[-2], image.shape[-1]) for image in data["inputs"]]
        batch = super().forward(data, training)
        inputs, samples = batch["inputs"], batch["data_samples"]
        if samples is not None:
            whole = (int(inputs.shape[-2]), int(inputs.shape[-1]))
            for sample, shape in zip(samples, shapes, strict=True):
                sample.set_metainfo({"batch_input_shape": whole, "pad_shape": shape})
                self._pad_annotations(sample, whole)
        if training and self.batch_augments is not None:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {"inputs": inputs, "data_samples": samples}

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        divisor = self.pad_size_divisor
        return math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor

    def _pad_annotations(self, sample: DetDataSample, shape: tuple[int, int]) -> None:
        if self.pad_mask and "gt_instances" in sample and "masks" in sample.gt_instances:
            sample.gt_instances.masks = sample.gt_instances.masks.pad(shape, pad_val=self.mask_pad_value)
        if self.pad_seg and "gt_sem_seg" in sample:
            segmentation = sample.gt_sem_seg.sem_seg
            height, width = segmentation.shape[-2:]
            padding = (0, max(shape[1] - width, 0), 0, max(shape[0] - height, 0))
            del sample.gt_sem_seg.sem_seg
            sample.gt_sem_seg.sem_seg = F.pad(segmentation, padding, value=self.seg_pad_value)


@MODELS.register_module()
class BatchSyncRandomResize(nn.Module):
    """Resize whole batches to a size drawn anew every `interval` batches, the same on all ranks.

    `random_size_range`: smallest and largest height in pixels; heights are multiples of `size_divisor`, the width
    follows the aspect ratio of the first batch.
    """

    def __init__(self, random_size_range: tuple[int, int], interval: int = 10, size_divisor: int = 32) -> None:
        super().__init__()
        self._range = (round(random_size_range[0] / size_divisor), round(random_size_range[1] / size_divisor))
        self.interval, self.size_divisor = interval, size_divisor
        self._size: tuple[int, int] | None = None
        self._base: tuple[int, int] | None = None
        self._num_batches = 0

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample]) -> tuple[Tensor, list[DetDataSample]]:
        """Return the batch and its samples at the size in force."""
        height, width = int(inputs.shape[-2]), int(inputs.shape[-1])
        if self._base is None or self._size is None:
            self._base = self._size = (height, width)
        scale_y, scale_x = self._size[0] / height, self._size[1] / width
        if (scale_x, scale_y) != (1.0, 1.0):
            inputs = F.interpolate(inputs, size=self._size, mode="bilinear", align_corners=False)
            for sample in data_samples:
                _rescale(sample, scale_x, scale_y)
        self._num_batches += 1
        if self._num_batches % self.interval == 0:
            self._size = self._draw(self._base[1] / self._base[0], inputs.device)
        return inputs, data_samples

    def _draw(self, aspect_ratio: float, device: torch.device) -> tuple[int, int]:
        steps = random.randint(*self._range)
        size = torch.tensor([steps, int(aspect_ratio * steps)], device=device) * self.size_divisor
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(size, 0)
        return int(size[0]), int(size[1])


def _rescale(sample: DetDataSample, scale_x: float, scale_y: float) -> None:
    for name in ("img_shape", "batch_input_shape", "pad_shape"):
        height, width = sample.get(name)[:2]
        sample.set_metainfo({name: (int(height * scale_y), int(width * scale_x))})
    for instances in (sample.get("gt_instances"), sample.get("ignored_instances")):
        if instances is not None and "bboxes" in instances:
            instances.bboxes[..., 0::2] *= scale_x
            instances.bboxes[..., 1::2] *= scale_y
