"""The blocks of residual networks (He et al. 2016), under the names that OpenMMLab's state dicts have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.utils.checkpoint
from torch import Tensor, nn

from mimctl.engine.model import BaseModule, Sequential
from mimctl.vision.layers import DropPath, build_activation_layer, build_conv_layer, build_norm_layer
from mimctl.vision.layers.conv_module import Cfg

BN: Mapping[str, Any] = {"type": "BN", "requires_grad": True}
RELU: Mapping[str, Any] = {"type": "ReLU", "inplace": True}


class ResidualBlock(BaseModule):
    """Add what a branch of convolutions makes of the input to the input, or to its `downsample`.

    `out_channels` is what comes out; inside, the branch narrows to `out_channels // expansion`. `style` says which
    convolution of a bottleneck strides: the 3 x 3 one ('pytorch') or the first one ('caffe'). `with_cp` computes the
    block again in the backward pass instead of keeping its insides. `drop_path_rate`: share of the samples for which
    the branch is left out in training.
    """

    default_expansion: ClassVar[int]
    num_convs: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int | None = None,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        with_cp: bool = False,
        conv_cfg: Cfg = None,
        norm_cfg: Mapping[str, Any] = BN,
        drop_path_rate: float = 0.0,
        act_cfg: Mapping[str, Any] = RELU,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if style not in ("pytorch", "caffe"):
            raise ValueError(f"`style` must be 'pytorch' or 'caffe', not {style!r}")
        expansion = expansion or self.default_expansion
        if out_channels % expansion:
            raise ValueError(f"`out_channels` must be a multiple of `expansion` ({expansion}), not {out_channels}")
        self.in_channels, self.out_channels, self.mid_channels = in_channels, out_channels, out_channels // expansion
        self.stride, self.dilation, self.style, self.with_cp = stride, dilation, style, with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self._add_branch()
        self.relu = build_activation_layer(act_cfg)
        self.downsample = downsample
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    @property
    def last_norm(self) -> nn.Module:
        """Return the norm that ends the branch: with weight 0 the block begins as its shortcut alone."""
        return self._norm(self.num_convs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, out_channels, H / stride, W / stride) of (B, in_channels, H, W)."""
        if self.with_cp and x.requires_grad:
            summed = torch.utils.checkpoint.checkpoint(self._sum, x, use_reentrant=False)
        else:
            summed = self._sum(x)
        out: Tensor = self.relu(summed)
        return out

    def _add_branch(self) -> None:
        raise NotImplementedError

    def _add_conv(self, number: int, in_channels: int, out_channels: int, kernel: int, **arguments: Any) -> None:
        """Add `conv<number>`, which keeps height and width but for a stride, and its norm."""
        padding = arguments.get("dilation", 1) * (kernel // 2)
        conv = build_conv_layer(
            self.conv_cfg, in_channels, out_channels, kernel, padding=padding, bias=False, **arguments
        )
        self.add_module(f"conv{number}", conv)
        name, norm = build_norm_layer(self.norm_cfg, out_channels, postfix=number)
        self.add_module(name, norm)
        setattr(self, f"norm{number}_name", name)

    def _norm(self, number: int) -> nn.Module:
        norm: nn.Module = getattr(self, getattr(self, f"norm{number}_name"))
        return norm

    def _branch(self, x: Tensor) -> Tensor:
        for number in range(1, self.num_convs + 1):
            x = self._norm(number)(getattr(self, f"conv{number}")(x))
            x = self.relu(x) if number < self.num_convs else x
        return x

    def _sum(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        summed: Tensor = self.drop_path(self._branch(x)) + identity
        return summed


class BasicBlock(ResidualBlock):
    """Two 3 x 3 convolutions: the block of ResNet-18 and -34."""

    default_expansion, num_convs = 1, 2

    def _add_branch(self) -> None:
        self._add_conv(1, self.in_channels, self.mid_channels, 3, stride=self.stride, dilation=self.dilation)
        self._add_conv(2, self.mid_channels, self.out_channels, 3)


class Bottleneck(ResidualBlock):
    """1 x 1, 3 x 3 and 1 x 1 convolutions: the block of ResNet-50 and deeper."""

    default_expansion, num_convs = 4, 3
    groups = 1

    def _add_branch(self) -> None:
        first, second = (1, self.stride) if self.style == "pytorch" else (self.stride, 1)
        self._add_conv(1, self.in_channels, self.mid_channels, 1, stride=first)
        more = {"dilation": self.dilation, "groups": self.groups}
        self._add_conv(2, self.mid_channels, self.mid_channels, 3, stride=second, **more)
        self._add_conv(3, self.mid_channels, self.out_channels, 1)


class GroupedBottleneck(Bottleneck):
    """The bottleneck of ResNeXt (Xie et al. 2017): its inside has `groups` paths, each `width_per_group` wide.

    The width is that of the stage whose channels inside are `base_channels`; it doubles with them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_channels: int = 64,
        groups: int = 32,
        width_per_group: int = 4,
        **kwargs: Any,
    ) -> None:
        self.base_channels, self.groups, self.width_per_group = base_channels, groups, width_per_group
        super().__init__(in_channels, out_channels, **kwargs)

    def _add_branch(self) -> None:
        if self.groups != 1:
            self.mid_channels = self.groups * self.width_per_group * self.mid_channels // self.base_channels
        super()._add_branch()


class ResLayer(Sequential):
    """One stage: `num_blocks` blocks, the first of which strides and changes the number of channels.

    `avg_down` strides in the shortcut by average pooling instead of by the convolution (ResNet-D, He et al. 2019).
    `drop_path_rate` has one value for each block. Other arguments go to the blocks.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        num_blocks: int,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        avg_down: bool = False,
        conv_cfg: Cfg = None,
        norm_cfg: Mapping[str, Any] = BN,
        drop_path_rate: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        rates = [*drop_path_rate, *[0.0] * (num_blocks - len(drop_path_rate))]
        kwargs |= {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        downsample = None
        if stride != 1 or in_channels != out_channels:
            downsample = _shortcut(in_channels, out_channels, stride, avg_down, conv_cfg, norm_cfg)
        first = block(
            in_channels, out_channels, stride=stride, downsample=downsample, drop_path_rate=rates[0], **kwargs
        )
        super().__init__(
            first, *(block(out_channels, out_channels, drop_path_rate=each, **kwargs) for each in rates[1:])
        )


def _shortcut(
    in_channels: int, out_channels: int, stride: int, avg_down: bool, conv_cfg: Cfg, norm_cfg: Mapping[str, Any]
) -> nn.Sequential:
    pools = avg_down and stride != 1
    pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if pools else []
    conv = build_conv_layer(conv_cfg, in_channels, out_channels, 1, stride=1 if pools else stride, bias=False)
    return nn.Sequential(*pool, conv, build_norm_layer(norm_cfg, out_channels)[1])
