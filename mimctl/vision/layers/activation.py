"""Activation layers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mimctl.engine.registry import MODELS

MODELS.register_module(name="ReLU", module=nn.ReLU)
MODELS.register_module(name="LeakyReLU", module=nn.LeakyReLU)
MODELS.register_module(name="PReLU", module=nn.PReLU)
MODELS.register_module(name="RReLU", module=nn.RReLU)
MODELS.register_module(name="ReLU6", module=nn.ReLU6)
MODELS.register_module(name="ELU", module=nn.ELU)
MODELS.register_module(name="Sigmoid", module=nn.Sigmoid)
MODELS.register_module(name="Tanh", module=nn.Tanh)
MODELS.register_module(name="Softmax", module=nn.Softmax)
MODELS.register_module(name="GELU", module=nn.GELU)
MODELS.register_module(name=["SiLU", "Swish"], module=nn.SiLU)
MODELS.register_module(name="Mish", module=nn.Mish)
MODELS.register_module(name="Hardswish", module=nn.Hardswish)
MODELS.register_module(name="Hardsigmoid", module=nn.Hardsigmoid)

_WITHOUT_INPLACE = ("Tanh", "PReLU", "Sigmoid", "Softmax", "GELU", "Clamp", "Clip")


@MODELS.register_module()
class HSigmoid(nn.Module):
    """Return clamp((x + bias) / divisor, min_value, max_value)."""

    def __init__(self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0) -> None:
        super().__init__()
        self.bias, self.divisor, self.min_value, self.max_value = bias, divisor, min_value, max_value

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of `x`."""
        return ((x + self.bias) / self.divisor).clamp_(self.min_value, self.max_value)


@MODELS.register_module()
class HSwish(nn.Module):
    """Return x * relu6(x + 3) / 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of `x`."""
        return nn.functional.hardswish(x, self.inplace)


@MODELS.register_module(name=["Clamp", "Clip"])
class Clamp(nn.Module):
    """Return `x` limited to [min, max]."""

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:
        super().__init__()
        self.min, self.max = min, max

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation of `x`."""
        return torch.clamp(x, self.min, self.max)


def build_activation_layer(cfg: Mapping[str, Any]) -> nn.Module:
    """Return the activation that `cfg` (`type` and its arguments) describes."""
    layer: nn.Module = MODELS.build(cfg)
    return layer


def with_inplace(cfg: Mapping[str, Any], inplace: bool) -> dict[str, Any]:
    """Return the config with `inplace` where the activation has such an argument and the config does not set it."""
    if cfg.get("type") in _WITHOUT_INPLACE:
        return dict(cfg)
    return {"inplace": inplace, **cfg}
