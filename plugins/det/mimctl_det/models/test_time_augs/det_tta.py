"""DetTTAModel: the boxes of flipped and scaled views of an image as one prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.model import BaseTTAModel
from mimctl.engine.registry import MODELS
from mimctl.engine.structures import InstanceData
from mimctl.errors import MimctlError
from mimctl.vision.ops import batched_nms
from mimctl.vision.structures import DetDataSample


@MODELS.register_module()
class DetTTAModel(BaseTTAModel):
    """Flip the boxes of flipped views back, join those of all views and suppress doubles within each class.

    `tta_cfg`: `nms` (a config of suppression) and `max_per_img`, how many boxes are kept. Views must keep `flip`,
    `flip_direction` and `ori_shape` in their metainfo. Masks cannot be merged.
    """

    def __init__(self, module: nn.Module | Mapping[str, Any], tta_cfg: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(module, **kwargs)
        self.tta_cfg = tta_cfg

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list[DetDataSample]:
        """Return one sample for each image from those of all its views."""
        return [self._merge(views) for views in data_samples_list]

    def _merge(self, views: Sequence[DetDataSample]) -> DetDataSample:
        found = [view.pred_instances for view in views]
        if "masks" in found[0]:
            raise MimctlError("masks of several views cannot be merged", code="not-applicable")
        boxes = torch.cat([_upright(each.bboxes, view.metainfo) for each, view in zip(found, views, strict=True)])
        scores = torch.cat([each.scores for each in found])
        labels = torch.cat([each.labels for each in found])
        kept, rows = batched_nms(boxes, scores, labels, self.tta_cfg.get("nms"))
        most = int(self.tta_cfg.get("max_per_img", -1))
        if most >= 0:
            kept, rows = kept[:most], rows[:most]
        merged = views[0]
        merged.pred_instances = InstanceData(bboxes=kept[:, :4], scores=kept[:, 4], labels=labels[rows])
        return merged


def _upright(boxes: Tensor, meta: Mapping[str, Any]) -> Tensor:
    """Return the boxes (N, 4; x1 y1 x2 y2 in the image's own size) of a view as they lie in the unflipped image."""
    if not meta.get("flip"):
        return boxes
    height, width = meta["ori_shape"][:2]
    direction = meta["flip_direction"]
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    if direction in ("horizontal", "diagonal"):
        x1, x2 = width - x2, width - x1
    if direction in ("vertical", "diagonal"):
        y1, y2 = height - y2, height - y1
    return torch.stack((x1, y1, x2, y2), dim=1)
