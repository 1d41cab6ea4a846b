"""A few layers, a head, and losses."""

from typing import TYPE_CHECKING, Dict, List, Optional, Union

import torch
from torch import Tensor, nn

from mmcv.cnn import (ConvModule,  # conv, norm, activation
                      build_norm_layer)
from mmengine.model import BaseModel, BaseModule, bias_init_with_prob
from mmengine.structures import LabelData

from .registry import MODELS

try:
    from mmcv.ops import nms
except ImportError:  # the operators are optional
    nms = None

if TYPE_CHECKING:
    from mmengine.structures import BaseDataElement as Sample


@MODELS.register_module()
class SeedBackbone(BaseModule):
    """Two convolutions and the mean over the image."""

    def __init__(self, channels: int = 4, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.first = ConvModule(3, channels, 3, padding=1, norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU"))
        self.last = ConvModule(channels, channels, 3, padding=1, stride=2)
        self.norm = build_norm_layer(dict(type="BN"), channels)[1]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(self.last(self.first(inputs))).mean(dim=(2, 3))


@MODELS.register_module()
class SeedSorter(BaseModel):
    """Tells light seeds from dark ones."""

    def __init__(self, backbone: dict, num_classes: int = 2, data_preprocessor: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(backbone.get("channels", 4), num_classes)
        nn.init.constant_(self.head.bias, bias_init_with_prob(0.1))

    def forward(
        self, inputs: Tensor, data_samples: "Optional[List[Sample]]" = None, mode: str = "tensor"
    ) -> Union[Dict[str, Tensor], list, Tensor]:
        scores = self.head(self.backbone(inputs))
        if mode == "tensor":
            return scores
        if mode == "loss":
            wanted = torch.cat([sample.gt_label.item for sample in data_samples])
            return {"loss": nn.functional.cross_entropy(scores, wanted)}
        for sample, score in zip(data_samples, scores.softmax(1)):
            sample.pred_label = LabelData(item=score.argmax().reshape(1), score=score)
        return data_samples


def keep_best(boxes: Tensor, scores: Tensor) -> Tensor:
    """Drop boxes of the same seed."""
    return nms(boxes, scores, 0.5)[1]
