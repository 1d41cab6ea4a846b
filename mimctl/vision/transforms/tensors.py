"""Arrays to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS


def to_tensor(data: Any) -> torch.Tensor:
    """Return an array, a sequence of numbers or a number as a tensor; TypeError for anything else."""
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(data)
    if isinstance(data, Sequence) and not isinstance(data, str):
        return torch.tensor(data)
    if isinstance(data, bool | int | np.integer):
        return torch.LongTensor([data])
    if isinstance(data, float | np.floating):
        return torch.FloatTensor([data])
    raise TypeError(f"a {type(data).__name__} cannot become a tensor")


def image_to_tensor(image: np.ndarray[Any, Any]) -> torch.Tensor:
    """Return a contiguous tensor (C, H, W) of an image (H, W, C) or (H, W)."""
    if image.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(image[None]))
    planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    if image.shape[2] == 1:
        planes[0] = image[..., 0]
    else:
        cv2.split(image, list(planes))  # writes into the planes; many times faster than a transposed copy
    return torch.from_numpy(planes)


@TRANSFORMS.register_module()
class ToTensor(BaseTransform):
    """Make tensors of the values under `keys`; dots go into nested dicts."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def transform(self, results: Sample) -> Sample:
        """Return the sample with tensors. KeyError where a key is missing."""
        for key in self.keys:
            *path, last = key.split(".")
            holder = results
            for part in path:
                holder = holder[part]
            holder[last] = to_tensor(holder[last])
        return results


@TRANSFORMS.register_module()
class ImageToTensor(BaseTransform):
    """Make tensors (C, H, W) of the images (H, W, C) or (H, W) under `keys`."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def transform(self, results: Sample) -> Sample:
        """Return the sample with tensors."""
        for key in self.keys:
            image = results[key]
            planes = image[..., None] if image.ndim == 2 else image
            results[key] = torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))
        return results
