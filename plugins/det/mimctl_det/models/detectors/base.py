"""What all detectors share: the three modes of `forward` and the way predictions are attached to samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mimctl.engine.model import BaseModel
from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import DetDataSample

Cfg = Mapping[str, Any] | None


class BaseDetector(BaseModel):
    """A model from images (B, 3, H, W) to boxes."""

    def __init__(self, data_preprocessor: Mapping[str, Any] | nn.Module | None = None, init_cfg: Any = None) -> None:
        super().__init__(data_preprocessor, init_cfg)

    @property
    def with_neck(self) -> bool:
        """Say whether there is a neck."""
        return getattr(self, "neck", None) is not None

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample] | None = None, mode: str = "tensor") -> Any:
        """Return losses by name ('loss'), samples with `pred_instances` ('predict') or raw head outputs ('tensor')."""
        if mode == "loss":
            return self.loss(inputs, data_samples or [])
        if mode == "predict":
            return self.predict(inputs, data_samples or [])
        if mode == "tensor":
            return self._forward(inputs, data_samples)
        raise ValueError(f"`mode` must be 'loss', 'predict' or 'tensor', not {mode!r}")

    @abstractmethod
    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps that the head works on."""

    @abstractmethod
    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Any]:
        """Return the losses of a batch with its ground truth."""

    @abstractmethod
    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Return the samples with predictions, in the coordinates of the original images where `rescale`."""

    @abstractmethod
    def _forward(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample] | None = None) -> Any: ...

    def add_pred_to_datasample(
        self, data_samples: list[DetDataSample], results_list: list[InstanceData]
    ) -> list[DetDataSample]:
        """Return the samples, each with its predictions as `pred_instances` (bboxes, scores, labels)."""
        for sample, instances in zip(data_samples, results_list, strict=True):
            sample.pred_instances = instances
        return data_samples
