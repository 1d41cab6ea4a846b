"""Detectors whose head predicts boxes at every point of the feature maps at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mimctl.engine.registry import MODELS
from mimctl.vision.structures import DetDataSample
from mimctl_det.models.detectors.base import BaseDetector, Cfg


@MODELS.register_module()
class SingleStageDetector(BaseDetector):
    """Backbone, optional neck, dense head; `train_cfg` and `test_cfg` go to the head."""

    def __init__(
        self,
        backbone: Mapping[str, Any],
        neck: Cfg = None,
        bbox_head: Cfg = None,
        train_cfg: Cfg = None,
        test_cfg: Cfg = None,
        data_preprocessor: Cfg = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        if bbox_head is None:
            raise TypeError(f"{type(self).__name__} needs a `bbox_head`")
        self.bbox_head = MODELS.build({**bbox_head, "train_cfg": train_cfg, "test_cfg": test_cfg})
        self.train_cfg, self.test_cfg = train_cfg, test_cfg

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the backbone, mixed by the neck where there is one."""
        maps = self.backbone(batch_inputs)
        mixed: tuple[Tensor, ...] = self.neck(maps) if self.with_neck else maps
        return mixed

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Any]:
        """Return the head's losses."""
        losses: dict[str, Any] = self.bbox_head.loss(self.extract_feat(batch_inputs), batch_data_samples)
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Return the samples with predictions."""
        results = self.bbox_head.predict(self.extract_feat(batch_inputs), batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample] | None = None) -> Any:
        return self.bbox_head(self.extract_feat(batch_inputs))
