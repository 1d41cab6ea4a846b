"""Heads of classifiers: from the last feature of the backbone or neck to scores, losses and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError
from mimctl_cls.structures import DataSample

_LOSS: Mapping[str, Any] = {"type": "CrossEntropyLoss", "loss_weight": 1.0}
NORMAL: Mapping[str, Any] = {"type": "Normal", "layer": "Linear", "std": 0.01}


@MODELS.register_module()
class ClsHead(BaseModule):
    """Take the last feature, (B, num_classes), as scores. Softmax turns them into shares.

    With `cal_acc` the losses are accompanied by `accuracy_top-<k>`, in percent of the batch, for each `topk`.
    """

    def __init__(
        self,
        loss: Mapping[str, Any] | nn.Module = _LOSS,
        topk: int | Sequence[int] = (1,),
        cal_acc: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.loss_module = MODELS.build(loss)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.cal_acc = cal_acc
        self._labels_fit = False

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """Return what the scores are made of."""
        return feats[-1]

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the scores (B, num_classes) of a tuple of features."""
        return self.pre_logits(feats)

    def loss(self, feats: Sequence[Tensor], data_samples: list[DataSample], **kwargs: Any) -> dict[str, Tensor]:
        """Return the loss against the samples' `gt_score` (a share of each class) if they have it, else `gt_label`."""
        cls_score = self(feats)
        target = self._target(cls_score, data_samples)
        losses = {"loss": self.loss_module(cls_score, target, avg_factor=len(cls_score), **kwargs)}
        if self.cal_acc:
            if target.ndim != 1:
                raise ValueError("`cal_acc` needs one label for each image, no shares of classes")
            losses |= {f"accuracy_top-{k}": _accuracy(cls_score, target, k) for k in self.topk}
        return losses

    def _target(self, cls_score: Tensor, data_samples: list[DataSample]) -> Tensor:
        if "gt_score" in data_samples[0]:
            return torch.stack([each.gt_score for each in data_samples])
        labels = torch.cat([each.gt_label for each in data_samples])
        # A look at labels on a GPU waits for it: there the first batch alone is looked at.
        if labels.device.type == "cpu" or not self._labels_fit:
            _require_classes(labels, cls_score.shape[1])
            self._labels_fit = True
        return labels

    def predict(self, feats: Sequence[Tensor], data_samples: list[DataSample] | None = None) -> list[DataSample]:
        """Return the samples (new ones without) with `pred_score`, the share of each class, and `pred_label`."""
        shares = self(feats).softmax(dim=1)
        labels = shares.argmax(dim=1, keepdim=True)
        samples = data_samples or [DataSample() for _ in shares]
        for sample, share, label in zip(samples, shares, labels, strict=True):
            sample.set_pred_score(share).set_pred_label(label)
        return samples


@MODELS.register_module()
class LinearClsHead(ClsHead):
    """One linear layer from `in_channels` to the scores."""

    def __init__(self, num_classes: int, in_channels: int, init_cfg: Any = NORMAL, **kwargs: Any) -> None:
        super().__init__(init_cfg=init_cfg, **kwargs)
        if num_classes <= 0:
            raise ValueError(f"`num_classes` must be positive, not {num_classes}")
        self.num_classes, self.in_channels = num_classes, in_channels
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the scores (B, num_classes) of a tuple of features, the last of which is (B, in_channels)."""
        scores: Tensor = self.fc(self.pre_logits(feats))
        return scores


def _accuracy(cls_score: Tensor, label: Tensor, k: int) -> Tensor:
    best = cls_score.topk(k, dim=1).indices
    return 100 * (best == label[:, None]).any(dim=1).to(cls_score.dtype).mean()


def _require_classes(labels: Tensor, num_classes: int) -> None:
    """Raise ConfigError[class-mismatch] unless each label is the number of one of the classes."""
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ConfigError(
            f"the data has a label {int(labels.max())}, and the model {num_classes} classes",
            code="class-mismatch",
            hints=["set `num_classes` of the head (LeNet: of the backbone) to the number of the data's classes"],
        )
