"""Images as patches: padding that lets a kernel cover all of them, embedding into tokens, merging of neighbours.

Sources: Dosovitskiy et al., ViT (arXiv:2010.11929); Liu et al., Swin (arXiv:2103.14030).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS
from mimctl.engine.sequences import to_2tuple
from mimctl.errors import ConfigError
from mimctl.vision.layers.conv import build_conv_layer
from mimctl.vision.layers.norm import build_norm_layer

Size = int | tuple[int, int]


class AdaptivePadding(nn.Module):
    """Pad with zeros until strides of the kernel cover the input: all around it (`same`) or on two sides (`corner`)."""

    def __init__(self, kernel_size: Size = 1, stride: Size = 1, dilation: Size = 1, padding: str = "corner") -> None:
        super().__init__()
        if padding not in ("same", "corner"):
            raise ConfigError(f"padding is `same` or `corner`, not {padding!r}", code="bad-argument")
        self.kernel_size = to_2tuple(kernel_size)
        self.stride = to_2tuple(stride)
        self.dilation = to_2tuple(dilation)
        self.padding = padding

    def get_pad_shape(self, input_shape: Sequence[int]) -> tuple[int, int]:
        """Return how many rows and columns an input of (H, W) lacks."""
        lacking = [
            max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, kernel, stride, dilation in zip(
                input_shape, self.kernel_size, self.stride, self.dilation, strict=True
            )
        ]
        return lacking[0], lacking[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded (B, C, H', W')."""
        rows, columns = self.get_pad_shape(x.shape[-2:])
        top, left = (rows // 2, columns // 2) if self.padding == "same" else (0, 0)
        return functional.pad(x, [left, columns - left, top, rows - top]) if rows or columns else x


@MODELS.register_module()
class Conv2dAdaptivePadding(nn.Conv2d):
    """A convolution padded all around, so that the output is ceil(size / stride); `padding` counts for nothing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of (N, C, H, W)."""
        pad = AdaptivePadding(self.kernel_size, self.stride, self.dilation, "same")  # type: ignore[arg-type]
        return super().forward(pad(input))


class PatchEmbed(BaseModule):
    """Turn an image into tokens, one a patch, by a convolution of type `conv_type`.

    `padding` is `same` or `corner` (as much as the kernel needs), or a number of pixels. With `input_size` the
    attribute `init_out_size` tells the (rows, columns) of patches.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: Size = 16,
        stride: Size | None = 16,
        padding: str | Size = "corner",
        dilation: Size = 1,
        bias: bool = True,
        norm_cfg: Mapping[str, Any] | None = None,
        input_size: Size | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        stride = kernel_size if stride is None else stride
        self.adaptive_padding, pixels = _padding(kernel_size, stride, dilation, padding)
        self.projection = build_conv_layer(
            {"type": conv_type},
            in_channels=in_channels,
            out_channels=embed_dims,
            kernel_size=kernel_size,
            stride=stride,
            padding=pixels,
            dilation=dilation,
            bias=bias,
        )
        self.norm = build_norm_layer(norm_cfg, embed_dims)[1] if norm_cfg is not None else None
        self.init_input_size = to_2tuple(input_size) if input_size else None
        self.init_out_size: tuple[int, int] | None = None
        if self.init_input_size is not None:
            rows, columns = (
                self.adaptive_padding.get_pad_shape(self.init_input_size) if self.adaptive_padding else (0, 0)
            )
            padded = (self.init_input_size[0] + rows, self.init_input_size[1] + columns)
            self.init_out_size = _out_size(padded, kernel_size, stride, pixels, dilation)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return tokens (B, rows x columns, embed_dims) of an image (B, C, H, W), and (rows, columns)."""
        if self.adaptive_padding is not None:
            x = self.adaptive_padding(x)
        x = self.projection(x)
        size = (int(x.shape[2]), int(x.shape[3]))
        tokens = x.flatten(2).transpose(1, 2)
        return (tokens if self.norm is None else self.norm(tokens)), size


class PatchMerging(BaseModule):
    """Join each window of tokens into one: their channels in `nn.Unfold`'s order, then a projection."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 2,
        stride: Size | None = None,
        padding: str | Size = "corner",
        dilation: Size = 1,
        bias: bool = False,
        norm_cfg: Mapping[str, Any] | None = {"type": "LN"},
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = out_channels
        stride = stride or kernel_size
        self.adaptive_padding, pixels = _padding(kernel_size, stride, dilation, padding)
        self.sampler = nn.Unfold(kernel_size, dilation, pixels, stride)
        rows, columns = to_2tuple(kernel_size)
        joined = rows * columns * in_channels
        self.norm = build_norm_layer(norm_cfg, joined)[1] if norm_cfg is not None else None
        self.reduction = nn.Linear(joined, out_channels, bias=bias)
        self._geometry = (kernel_size, stride, pixels, dilation)

    def forward(self, x: Tensor, input_size: Sequence[int]) -> tuple[Tensor, tuple[int, int]]:
        """Return merged tokens (B, rows x columns, out_channels) of (B, H x W, in_channels), and (rows, columns).

        `input_size` is (H, W); ValueError where it does not fit.
        """
        height, width = input_size
        if x.shape[1] != height * width:
            raise ValueError(f"{x.shape[1]} tokens are no {height} x {width} image")
        image = x.view(x.shape[0], height, width, x.shape[2]).permute(0, 3, 1, 2)
        if self.adaptive_padding is not None:
            image = self.adaptive_padding(image)
        size = _out_size((int(image.shape[2]), int(image.shape[3])), *self._geometry)
        windows = self.sampler(image).transpose(1, 2)
        return self.reduction(windows if self.norm is None else self.norm(windows)), size


def _padding(kernel: Size, stride: Size, dilation: Size, padding: str | Size) -> tuple[AdaptivePadding | None, Size]:
    if isinstance(padding, str):
        return AdaptivePadding(kernel, stride, dilation, padding), 0
    return None, to_2tuple(padding)


def _out_size(size: tuple[int, int], kernel: Size, stride: Size, padding: Size, dilation: Size) -> tuple[int, int]:
    steps = [
        (length + 2 * pad - spread * (taps - 1) - 1) // step + 1
        for length, taps, step, pad, spread in zip(
            size, to_2tuple(kernel), to_2tuple(stride), to_2tuple(padding), to_2tuple(dilation), strict=True
        )
    ]
    return steps[0], steps[1]
