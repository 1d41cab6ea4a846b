"""From a collated batch to what `forward` takes: move to the device, normalise, pad to one size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl.engine.structures import BaseDataElement


@MODELS.register_module()
class BaseDataPreprocessor(nn.Module):
    """Move a batch to the device of the model."""

    _probe: Tensor

    def __init__(self, non_blocking: bool = False) -> None:
        super().__init__()
        self.non_blocking = non_blocking
        # An empty buffer that travels with the model tells the device; it is in no state dict.
        self.register_buffer("_probe", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Return the device that batches are moved to."""
        return self._probe.device

    def cast_data(self, data: Any) -> Any:
        """Return `data` with every tensor and element in it (nested dicts, lists, tuples) on the device."""
        if isinstance(data, Tensor | BaseDataElement):
            return data.to(self.device, non_blocking=self.non_blocking)
        if isinstance(data, Mapping):
            return {key: self.cast_data(value) for key, value in data.items()}
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(self.cast_data(each) for each in data))
        if isinstance(data, list | tuple):
            return type(data)(self.cast_data(each) for each in data)
        return data

    def forward(self, data: Any, training: bool = False) -> Any:
        """Return the batch on the device."""
        return self.cast_data(data)


@MODELS.register_module()
class ImgDataPreprocessor(BaseDataPreprocessor):
    """Normalise images and stack them into one batch, padded on the right and at the bottom.

    `mean` and `std` have 3 values (or 1) on the scale of the images, both or neither given; the colour order is changed
    first if asked. Padding is added after normalising, with `pad_value`, to a multiple of `pad_size_divisor`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        if bgr_to_rgb and rgb_to_bgr:
            raise ValueError("`bgr_to_rgb` and `rgb_to_bgr` exclude each other")
        if (mean is None) != (std is None):
            raise ValueError("`mean` and `std` are given together or not at all")
        if mean is not None and std is not None:
            if {len(mean), len(std)} - {1, 3} or len(mean) != len(std):
                raise ValueError(f"`mean` and `std` have 3 values (or 1), not {len(mean)} and {len(std)}")
            self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1), persistent=False)
            self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self._enable_normalize = mean is not None
        self._channel_conversion = bgr_to_rgb or rgb_to_bgr
        self.pad_size_divisor = pad_size_divisor
        self.pad_value = pad_value

    def forward(self, data: Mapping[str, Any], training: bool = False) -> Any:
        """Return the batch with `inputs` a float tensor (B, C, H, W); given: a list of (C, H, W), or (B, C, H, W)."""
        moved = self.cast_data(data)
        images = moved["inputs"]
        if isinstance(images, Tensor) and images.ndim != 4:
            raise TypeError(f"a batch of images must be (B, C, H, W), not {tuple(images.shape)}")
        if not isinstance(images, list | tuple | Tensor):
            raise TypeError(f"`inputs` must be a list of images or a tensor, not a {type(images).__name__}")
        moved["inputs"] = self._to_batch(list(images))
        moved.setdefault("data_samples", None)
        return moved

    def _to_batch(self, images: list[Tensor]) -> Tensor:
        # Each image is converted straight into its place: no intermediate copy.
        height, width = _padded_size(images, self.pad_size_divisor)
        shape = (len(images), max(len(image) for image in images), height, width)
        exact = all(tuple(image.shape[-2:]) == (height, width) for image in images)
        batch = (
            torch.empty(shape, device=self.device)
            if exact
            else torch.full(shape, self.pad_value, device=self.device, dtype=torch.float32)
        )
        for place, image in zip(batch, images, strict=True):
            if image.ndim != 3:
                raise TypeError(f"an image must be (C, H, W), not {tuple(image.shape)}")
            if self._enable_normalize and len(self.mean) == 3 and len(image) != 3:
                raise ValueError(f"`mean` has 3 values, so images must have 3 channels, not {len(image)}")
            target = place[:, : image.shape[1], : image.shape[2]]
            target.copy_(image.flip(0) if self._channel_conversion and len(image) == 3 else image)
            if self._enable_normalize:
                target.sub_(self.mean).div_(self.std)
        return batch


def stack_batch(tensor_list: Sequence[Tensor], pad_size_divisor: int = 1, pad_value: float = 0) -> Tensor:
    """Return tensors (C, H, W) as one (B, C, H', W'), padded on the right and at the bottom."""
    height, width = _padded_size(tensor_list, pad_size_divisor)
    batch = tensor_list[0].new_full((len(tensor_list), len(tensor_list[0]), height, width), pad_value)
    for place, tensor in zip(batch, tensor_list, strict=True):
        place[:, : tensor.shape[1], : tensor.shape[2]].copy_(tensor)
    return batch


def _padded_size(tensors: Sequence[Tensor], divisor: int) -> tuple[int, int]:
    height = max(tensor.shape[-2] for tensor in tensors)
    width = max(tensor.shape[-1] for tensor in tensors)
    return math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor
