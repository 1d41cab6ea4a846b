"""LeNet-5 (LeCun et al. 1998), for grey images of 32 x 32."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS


@MODELS.register_module()
class LeNet5(BaseModule):
    """Return scores (B, num_classes) of (B, 1, 32, 32) images, in a tuple; features (B, 120, 1, 1) for -1 classes."""

    def __init__(self, num_classes: int = -1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(16, 120, kernel_size=5),
            nn.Tanh(),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, num_classes))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the scores, or the features."""
        features: Tensor = self.features(x)
        return (self.classifier(features.flatten(1)) if self.num_classes > 0 else features,)
