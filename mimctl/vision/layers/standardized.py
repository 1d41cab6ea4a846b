"""Convolutions whose kernels are standardised: each output channel's weights have mean 0 and deviation 1.

Source: Qiao et al., Weight standardization (arXiv:1903.10520); with a learnt-once affine part in DetectoRS
(arXiv:2006.02334).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimctl.engine.registry import MODELS

_EPS = 1e-5


def conv_ws_2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    eps: float = _EPS,
) -> Tensor:
    """Convolve with the standardised kernel; `eps` is added to its deviation."""
    flat = weight.flatten(1)
    mean = flat.mean(1)[:, None, None, None]
    deviation = flat.std(1)[:, None, None, None]
    kernel = (weight - mean) / (deviation + eps)
    return functional.conv2d(input, kernel, bias, stride, padding, dilation, groups)


@MODELS.register_module(name="ConvWS")
class ConvWS2d(nn.Conv2d):
    """A convolution with a standardised kernel."""

    def __init__(self, *args: Any, eps: float = _EPS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of (N, C, H, W)."""
        return conv_ws_2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, self.eps
        )


@MODELS.register_module(name="ConvAWS")
class ConvAWS2d(nn.Conv2d):
    """A convolution whose kernel is standardised, then scaled by `weight_gamma` and shifted by `weight_beta`.

    Weights of an ordinary convolution that are loaded give both their values, so that the layer computes the same.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("weight_gamma", torch.ones(self.out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(self.out_channels, 1, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of (N, C, H, W)."""
        mean, deviation = _statistics(self.weight)
        kernel = self.weight_gamma * (self.weight - mean) / deviation + self.weight_beta
        return functional.conv2d(input, kernel, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, *lists: list[str]
    ) -> None:
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and f"{prefix}weight_gamma" not in state_dict:
            mean, deviation = _statistics(weight)
            state_dict = {**state_dict, f"{prefix}weight_gamma": deviation, f"{prefix}weight_beta": mean}
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, *lists)


def _statistics(weight: Tensor) -> tuple[Tensor, Tensor]:
    flat = weight.flatten(1)
    return flat.mean(1)[:, None, None, None], (flat.var(1) + _EPS).sqrt()[:, None, None, None]
