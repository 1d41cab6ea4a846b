"""Heads for images that have any number of labels at once: each class is a question for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl.engine.registry import MODELS
from mimctl_cls.models.heads import NORMAL, ClsHead
from mimctl_cls.structures import DataSample

_LOSS: Mapping[str, Any] = {"type": "CrossEntropyLoss", "use_sigmoid": True}


@MODELS.register_module()
class MultiLabelClsHead(ClsHead):
    """Take the last feature, (B, num_classes), as scores. A sigmoid turns each into a probability of its own.

    Predicted are the `topk` most probable classes, or else those of at least `thr` (0.5 where neither is given).
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module = _LOSS,
        thr: float | None = None,
        topk: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(loss, init_cfg=init_cfg)
        self.thr = 0.5 if thr is None and topk is None else thr
        self.num_predicted = topk

    def _target(self, cls_score: Tensor, data_samples: list[DataSample]) -> Tensor:
        if "gt_score" in data_samples[0]:
            return torch.stack([each.gt_score for each in data_samples]).to(cls_score.dtype)
        num_classes = cls_score.shape[1]
        rows = [F.one_hot(each.gt_label, num_classes).sum(dim=0).clamp(max=1) for each in data_samples]
        return torch.stack(rows).to(cls_score.dtype)

    def predict(self, feats: Sequence[Tensor], data_samples: list[DataSample] | None = None) -> list[DataSample]:
        """Return the samples (new ones without) with `pred_score`, each class's probability, and `pred_label`."""
        probabilities = self(feats).sigmoid()
        samples = data_samples or [DataSample() for _ in probabilities]
        for sample, each in zip(samples, probabilities, strict=True):
            if self.num_predicted is None:
                labels = (each >= self.thr).nonzero().squeeze(1)
            else:
                labels = each.topk(self.num_predicted).indices
            sample.set_pred_score(each).set_pred_label(labels)
        return samples


@MODELS.register_module()
class MultiLabelLinearClsHead(MultiLabelClsHead):
    """One linear layer from `in_channels` to the scores."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: Mapping[str, Any] | nn.Module = _LOSS,
        thr: float | None = None,
        topk: int | None = None,
        init_cfg: Any = NORMAL,
    ) -> None:
        super().__init__(loss, thr, topk, init_cfg)
        if num_classes <= 0:
            raise ValueError(f"`num_classes` must be positive, not {num_classes}")
        self.num_classes, self.in_channels = num_classes, in_channels
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the scores (B, num_classes) of a tuple of features, the last of which is (B, in_channels)."""
        scores: Tensor = self.fc(self.pre_logits(feats))
        return scores
