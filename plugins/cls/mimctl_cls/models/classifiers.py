"""Whole classifiers: backbone, neck and head behind one `forward`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mimctl.engine.model import BaseModel
from mimctl.engine.registry import MODELS
from mimctl_cls.structures import DataSample

_STAGES = ("backbone", "neck", "pre_logits")
Cfg = Mapping[str, Any] | None


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A model from images (B, C, H, W) to one label each.

    `pretrained` names weights of the backbone. `train_cfg` holds `augments`, which mix the images of a batch in
    training, and their `probs`.
    """

    def __init__(
        self,
        backbone: Mapping[str, Any] | nn.Module,
        neck: Mapping[str, Any] | nn.Module | None = None,
        head: Mapping[str, Any] | nn.Module | None = None,
        pretrained: str | None = None,
        train_cfg: Cfg = None,
        data_preprocessor: Mapping[str, Any] | nn.Module | None = None,
        init_cfg: Any = None,
    ) -> None:
        if pretrained is not None and isinstance(backbone, Mapping):
            backbone = {**backbone, "init_cfg": {"type": "Pretrained", "checkpoint": pretrained}}
        if not isinstance(data_preprocessor, nn.Module):
            defaults = {"type": "ClsDataPreprocessor", "batch_augments": train_cfg}
            data_preprocessor = {**defaults, **(data_preprocessor or {})}
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.head = None if head is None else MODELS.build(head)

    @property
    def with_neck(self) -> bool:
        """Say whether there is a neck."""
        return self.neck is not None

    @property
    def with_head(self) -> bool:
        """Say whether there is a head."""
        return self.head is not None

    def forward(self, inputs: Tensor, data_samples: list[DataSample] | None = None, mode: str = "tensor") -> Any:
        """Return losses by name ('loss'), samples with predictions ('predict'), or the scores ('tensor')."""
        if mode == "tensor":
            feats = self.extract_feat(inputs)
            return feats if self.head is None else self.head(feats)
        if mode == "loss":
            return self.loss(inputs, data_samples or [])
        if mode == "predict":
            return self.predict(inputs, data_samples)
        raise ValueError(f"`mode` must be 'loss', 'predict' or 'tensor', not {mode!r}")

    def extract_feat(self, inputs: Tensor, stage: str = "neck") -> Any:
        """Return the features after 'backbone', 'neck' (tuples) or the head's 'pre_logits' (a tensor)."""
        if stage not in _STAGES:
            raise ValueError(f"`stage` must be one of {', '.join(_STAGES)}, not {stage!r}")
        feats = self.backbone(inputs)
        if stage != "backbone" and self.neck is not None:
            feats = self.neck(feats)
        return self._head().pre_logits(feats) if stage == "pre_logits" else feats

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Return the head's losses."""
        losses: dict[str, Tensor] = self._head().loss(self.extract_feat(inputs), data_samples)
        return losses

    def predict(self, inputs: Tensor, data_samples: list[DataSample] | None = None, **kwargs: Any) -> list[DataSample]:
        """Return the samples (new ones without) with `pred_label` and `pred_score`."""
        samples: list[DataSample] = self._head().predict(self.extract_feat(inputs), data_samples, **kwargs)
        return samples

    def _head(self) -> Any:
        if self.head is None:
            raise ValueError("this classifier has no `head`, so it has neither losses nor predictions")
        return self.head
