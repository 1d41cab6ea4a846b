"""Preprocessing of classification batches: normalise, stack, and mix images where asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from mimctl.engine.model import ImgDataPreprocessor
from mimctl.engine.registry import MODELS
from mimctl_cls.models.batch_augments import RandomBatchAugment
from mimctl_cls.structures import DataSample


@MODELS.register_module()
class ClsDataPreprocessor(ImgDataPreprocessor):
    """ImgDataPreprocessor that also makes scores of labels and mixes the images of a batch in training.

    `to_rgb` reverses three channels. `to_onehot` sets the `gt_score` of samples without one from their labels and
    `num_classes`. `batch_augments` (`augments`, `probs`) mixes the images and these scores; it implies `to_onehot`.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        to_rgb: bool = False,
        to_onehot: bool = False,
        num_classes: int | None = None,
        batch_augments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(mean, std, pad_size_divisor, pad_value, bgr_to_rgb=to_rgb)
        self.to_onehot, self.num_classes = to_onehot or bool(batch_augments), num_classes
        self.batch_augments = RandomBatchAugment(**batch_augments) if batch_augments else None

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Return `inputs` (B, C, H, W) and `data_samples`, whose scores are set where asked."""
        batch: dict[str, Any] = super().forward(data, training)
        samples = batch["data_samples"]
        if not samples or not isinstance(samples[0], DataSample):
            return batch
        if self.to_onehot and "gt_label" in samples[0] and "gt_score" not in samples[0]:
            for sample in samples:
                self._set_onehot(sample)
        if training and self.batch_augments is not None and "gt_score" in samples[0]:
            scores = torch.stack([each.gt_score for each in samples])
            batch["inputs"], scores = self.batch_augments(batch["inputs"], scores)
            for sample, score in zip(samples, scores, strict=True):
                sample.set_gt_score(score)
        return batch

    def _set_onehot(self, sample: DataSample) -> None:
        num_classes = self.num_classes or sample.get("num_classes")
        if num_classes is None:
            raise ValueError("`to_onehot` needs `num_classes`, of the data preprocessor or of the samples")
        sample.set_gt_score(F.one_hot(sample.gt_label, num_classes).amax(dim=0).float())
