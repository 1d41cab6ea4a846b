"""The sample of classification: true and predicted labels and scores of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mimctl.engine.structures import BaseDataElement


class DataSample(BaseDataElement):
    """Hold what is known of one image.

    `gt_label` and `pred_label` are int64 tensors (number of labels,), `gt_score` and `pred_score` float tensors
    (num_classes,), shares of the classes. The setters take numbers, sequences, arrays and tensors, and return the
    sample. Metainfo: `img_path`, `ori_shape`, `img_shape` (height, width), `num_classes` and what the pipeline adds.
    """

    def set_gt_label(self, value: Any) -> Self:
        """Set the true label, or labels."""
        return self._set("gt_label", as_label(value))

    def set_gt_score(self, value: Any) -> Self:
        """Set the true share of each class."""
        return self._set_score("gt_score", as_score(value))

    def set_pred_label(self, value: Any) -> Self:
        """Set the predicted label, or labels."""
        return self._set("pred_label", as_label(value))

    def set_pred_score(self, value: Any) -> Self:
        """Set the predicted score of each class."""
        return self._set_score("pred_score", as_score(value))

    def _set_score(self, name: str, score: Tensor) -> Self:
        known = self.get("num_classes")
        if known is None:
            self.set_field(len(score), "num_classes", field_type="metainfo")
        elif len(score) != known:
            raise ValueError(f"`{name}` has {len(score)} values, and the sample {known} classes")
        return self._set(name, score)

    def _set(self, name: str, value: Tensor) -> Self:
        self.set_field(value, name, dtype=Tensor)
        return self


def as_label(value: Any) -> Tensor:
    """Return an int64 tensor (n,) of one label or several."""
    if isinstance(value, Tensor | np.ndarray | np.integer) and value.ndim == 0:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | Tensor | np.ndarray | Sequence) or isinstance(value, str):
        raise TypeError(f"a label is a number, a sequence, an array or a tensor, not a {type(value).__name__}")
    return torch.as_tensor([value] if isinstance(value, int) else value).to(torch.int64)


def as_score(value: Any) -> Tensor:
    """Return a float tensor (n,) of one score for each class."""
    if not isinstance(value, Tensor | np.ndarray | Sequence) or isinstance(value, str):
        raise TypeError(f"a score is a sequence, an array or a tensor, not a {type(value).__name__}")
    return value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float32)
