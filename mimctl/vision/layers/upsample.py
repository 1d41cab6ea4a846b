"""Upsampling layers by name: interpolation, transposed convolution, pixel shuffle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mimctl.engine.model import xavier_init
from mimctl.engine.registry import MODELS

MODELS.register_module(name=["nearest", "bilinear"], module=nn.Upsample)


@MODELS.register_module(name="pixel_shuffle")
class PixelShufflePack(nn.Module):
    """A convolution to `scale_factor`² times the channels, which are then dealt out as pixels.

    Source: Shi et al., Real-time single image super-resolution with an efficient sub-pixel CNN (arXiv:1609.05158).
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.scale_factor = scale_factor
        self.upsample_kernel = upsample_kernel
        self.upsample_conv = nn.Conv2d(
            in_channels, out_channels * scale_factor**2, upsample_kernel, padding=(upsample_kernel - 1) // 2
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the weights by Glorot's uniform rule."""
        xavier_init(self.upsample_conv, distribution="uniform")

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H x scale_factor, W x scale_factor)."""
        return functional.pixel_shuffle(self.upsample_conv(x), self.scale_factor)


def build_upsample_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Return the layer of a config such as `dict(type='bilinear', scale_factor=2)`; other arguments go to it."""
    options = {**kwargs, **cfg}
    kind = MODELS.get(cfg["type"]) if isinstance(cfg.get("type"), str) else None
    if kind is nn.Upsample:
        options["mode"] = cfg["type"].rpartition(".")[2]
    layer: nn.Module = MODELS.build(options, *args)
    return layer
