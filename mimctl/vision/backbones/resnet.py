"""ResNet (He et al. 2016), its variants C and D (He et al. 2019), ResNeXt: the base of what the toolboxes register.

Each toolbox registers a class of its own, since its configs expect its own defaults: classification wants the last map
of a network in training, detection all maps of one whose statistics stay fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from mimctl.engine.model import BaseModule, constant_init
from mimctl.engine.model.initializers import is_pretrained
from mimctl.vision.backbones.residual import BN, BasicBlock, Bottleneck, GroupedBottleneck, ResidualBlock, ResLayer
from mimctl.vision.layers import ConvModule, build_conv_layer, build_norm_layer
from mimctl.vision.layers.conv_module import Cfg

_INIT: Sequence[Mapping[str, Any]] = (
    {"type": "Kaiming", "layer": ["Conv2d"]},
    {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
)


class ResNet(BaseModule):
    """Return the maps of the stages in `out_indices` (stage i: stride 2 ** (i + 2) with the default `strides`).

    `expansion` is the ratio of a block's channels outside and inside (None: 1 up to depth 34, 4 beyond). `deep_stem`
    begins with three 3 x 3 convolutions instead of one of 7 x 7; `avg_down` pools in the shortcuts. The stem and the
    first `frozen_stages` stages are not trained (-1: all are; 0: the stem is not); `norm_eval` keeps batch statistics
    fixed. `zero_init_residual` begins each block as its shortcut, unless pretrained weights are loaded.
    `drop_path_rate` is reached in the last block, growing linearly from 0. Raises ValueError for an unknown depth and
    for lengths and indices that do not fit `num_stages`.
    """

    arch_settings: ClassVar[Mapping[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        expansion: int | None = None,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Cfg = None,
        norm_cfg: Mapping[str, Any] = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: Any = _INIT,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            raise ValueError(f"`depth` must be one of {', '.join(map(str, self.arch_settings))}, not {depth}")
        _check_stages(num_stages, strides, dilations, out_indices, frozen_stages)
        block, num_blocks = self.arch_settings[depth]
        self.depth, self.num_stages, self.out_indices = depth, num_stages, tuple(out_indices)
        self.deep_stem, self.frozen_stages, self.norm_eval = deep_stem, frozen_stages, norm_eval
        self.zero_init_residual = zero_init_residual
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self._add_stem(in_channels, stem_channels)
        rates = [drop_path_rate * each / (sum(num_blocks) - 1) for each in range(sum(num_blocks))]
        shared: dict[str, Any] = {
            "style": style,
            "avg_down": avg_down,
            "with_cp": with_cp,
            "conv_cfg": conv_cfg,
            "norm_cfg": norm_cfg,
        }
        shared |= self._of_blocks(block, base_channels, expansion)
        self.res_layers: list[str] = []
        given, channels = stem_channels, base_channels * (expansion or block.default_expansion)
        for number, stride, dilation in zip(num_blocks, strides, dilations, strict=False):
            own, rates = rates[:number], rates[number:]
            size: dict[str, Any] = {"num_blocks": number, "stride": stride, "dilation": dilation, "drop_path_rate": own}
            self.res_layers.append(f"layer{len(self.res_layers) + 1}")
            self.add_module(self.res_layers[-1], ResLayer(in_channels=given, out_channels=channels, **size, **shared))
            given, channels = channels, channels * 2
        self.feat_dim = given
        self._freeze()

    def _of_blocks(self, block: type[ResidualBlock], base_channels: int, expansion: int | None) -> dict[str, Any]:
        """Return the class of the blocks and the arguments that it takes in every stage."""
        return {"block": block, "expansion": expansion}

    def _add_stem(self, in_channels: int, channels: int) -> None:
        if self.deep_stem:
            self.stem = self._deep_stem(in_channels, channels)
        else:
            self._add_first_conv(in_channels, channels, kernel_size=7, stride=2, padding=3)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def _deep_stem(self, in_channels: int, channels: int) -> nn.Sequential:
        cfgs: dict[str, Any] = {"kernel_size": 3, "padding": 1, "conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg}
        half = channels // 2
        return nn.Sequential(
            ConvModule(in_channels, half, stride=2, **cfgs),
            ConvModule(half, half, **cfgs),
            ConvModule(half, channels, **cfgs),
        )

    def _add_first_conv(self, in_channels: int, channels: int, **size: int) -> None:
        self.conv1 = build_conv_layer(self.conv_cfg, in_channels, channels, bias=False, **size)
        self.norm1_name, norm = build_norm_layer(self.norm_cfg, channels, postfix=1)
        self.add_module(self.norm1_name, norm)
        self.relu = nn.ReLU(inplace=True)

    @property
    def norm1(self) -> nn.Module:
        """Return the norm after the first convolution (there is none with `deep_stem`)."""
        norm: nn.Module = getattr(self, self.norm1_name)
        return norm

    def init_weights(self) -> None:
        """Initialise, once, and let each block begin as its shortcut if so asked."""
        if self.is_init:
            return
        super().init_weights()
        cfgs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else self.init_cfg or ()
        if self.zero_init_residual and not any(is_pretrained(each) for each in cfgs):
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    constant_init(module.last_norm, 0)

    def train(self, mode: bool = True) -> Self:
        """Switch modes, but keep frozen parts frozen."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        frozen: list[nn.Module] = []
        if self.frozen_stages >= 0:
            frozen = [self.stem] if self.deep_stem else [self.conv1, self.norm1]
        for part in [*frozen, *(getattr(self, name) for name in self.res_layers[: max(self.frozen_stages, 0)])]:
            part.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted maps of (B, in_channels, H, W) images."""
        x = self._stem(x)
        outs = []
        for stage, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if stage in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _stem(self, x: Tensor) -> Tensor:
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        pooled: Tensor = self.maxpool(x)
        return pooled


class ResNeXt(ResNet):
    """ResNet with grouped 3 x 3 convolutions (Xie et al. 2017): `groups` of them, `width_per_group` wide in stage 0."""

    arch_settings: ClassVar[Mapping[int, tuple[type[ResidualBlock], tuple[int, ...]]]] = {
        depth: (GroupedBottleneck, num_blocks) for depth, (_, num_blocks) in ResNet.arch_settings.items() if depth >= 50
    }

    def __init__(self, depth: int, groups: int = 32, width_per_group: int = 4, **kwargs: Any) -> None:
        self.groups, self.width_per_group = groups, width_per_group
        super().__init__(depth, **kwargs)

    def _of_blocks(self, block: type[ResidualBlock], base_channels: int, expansion: int | None) -> dict[str, Any]:
        sizes = {"base_channels": base_channels, "groups": self.groups, "width_per_group": self.width_per_group}
        return {**super()._of_blocks(block, base_channels, expansion), **sizes}


class ResNetV1c(ResNet):
    """ResNet-C: the deep stem."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=False, **kwargs)


class ResNetV1d(ResNet):
    """ResNet-D: the deep stem, and average pooling in the shortcuts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=True, **kwargs)


def _check_stages(
    num_stages: int, strides: Sequence[int], dilations: Sequence[int], out_indices: Sequence[int], frozen_stages: int
) -> None:
    if num_stages not in range(1, 5):
        raise ValueError(f"`num_stages` must lie in 1..4, not {num_stages}")
    if not len(strides) == len(dilations) == num_stages:
        raise ValueError(f"`strides` and `dilations` need {num_stages} values each, one for each stage")
    if not set(out_indices) <= set(range(num_stages)):
        raise ValueError(f"`out_indices` must lie in 0..{num_stages - 1}, not {tuple(out_indices)}")
    if frozen_stages not in range(-1, num_stages + 1):
        raise ValueError(f"`frozen_stages` must lie in -1..{num_stages}, not {frozen_stages}")
