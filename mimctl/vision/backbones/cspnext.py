"""CSPNeXt, the backbone of RTMDet (Lyu et al. 2022): CSPDarknet's shape with large-kernel depthwise blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from mimctl.engine.model import BaseModule
from mimctl.engine.registry import MODELS
from mimctl.vision.layers import ConvModule, CSPLayer, DepthwiseSeparableConvModule, SPPBottleneck
from mimctl.vision.layers.conv_module import Cfg

_BN: Mapping[str, Any] = {"type": "BN", "momentum": 0.03, "eps": 0.001}
_SILU: Mapping[str, Any] = {"type": "SiLU"}
_KAIMING: Mapping[str, Any] = {
    "type": "Kaiming",
    "layer": "Conv2d",
    "a": math.sqrt(5),
    "distribution": "uniform",
    "mode": "fan_in",
    "nonlinearity": "leaky_relu",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage at width and depth 1: channels in and out, number of blocks, shortcuts, pyramid pooling."""

    in_channels: int
    out_channels: int
    num_blocks: int
    add_identity: bool
    use_spp: bool


ARCHITECTURES: Mapping[str, tuple[Stage, ...]] = {
    "P5": (
        Stage(64, 128, 3, True, False),
        Stage(128, 256, 6, True, False),
        Stage(256, 512, 6, True, False),
        Stage(512, 1024, 3, False, True),
    ),
    "P6": (
        Stage(64, 128, 3, True, False),
        Stage(128, 256, 6, True, False),
        Stage(256, 512, 6, True, False),
        Stage(512, 768, 3, True, False),
        Stage(768, 1024, 3, False, True),
    ),
}


@MODELS.register_module()
class CSPNeXt(BaseModule):
    """Return the maps of the stages in `out_indices` (0: the stem, stride 2; stage i: stride 2 ** (i + 1)).

    `deepen_factor` scales the number of blocks, `widen_factor` the channels; `arch_ovewrite` (spelt as in existing
    configs) replaces the table of stages. The first `frozen_stages` + 1 parts are not trained (-1: none frozen);
    `norm_eval` keeps batch statistics fixed.
    """

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        arch_ovewrite: Sequence[Sequence[Any]] | None = None,
        spp_kernel_sizes: Sequence[int] = (5, 9, 13),
        channel_attention: bool = True,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _SILU,
        norm_eval: bool = False,
        init_cfg: Any = _KAIMING,
    ) -> None:
        super().__init__(init_cfg)
        stages = tuple(Stage(*each) for each in arch_ovewrite) if arch_ovewrite else ARCHITECTURES[arch]
        if not set(out_indices) <= set(range(len(stages) + 1)):
            raise ValueError(f"`out_indices` must lie in 0..{len(stages)}, not {tuple(out_indices)}")
        if frozen_stages not in range(-1, len(stages) + 1):
            raise ValueError(f"`frozen_stages` must lie in -1..{len(stages)}, not {frozen_stages}")
        self.out_indices, self.frozen_stages, self.norm_eval = tuple(out_indices), frozen_stages, norm_eval
        self.use_depthwise, self.expand_ratio, self.channel_attention = use_depthwise, expand_ratio, channel_attention
        self.spp_kernel_sizes = tuple(spp_kernel_sizes)
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.stem = _stem(int(stages[0].in_channels * widen_factor), cfgs)
        self.layers = ["stem"]
        for number, stage in enumerate(stages, start=1):
            part = self._stage(stage, deepen_factor, widen_factor, {**cfgs, "conv_cfg": conv_cfg})
            self.add_module(f"stage{number}", part)
            self.layers.append(f"stage{number}")

    def _stage(self, stage: Stage, deepen: float, widen: float, cfgs: dict[str, Any]) -> nn.Sequential:
        conv = DepthwiseSeparableConvModule if self.use_depthwise else ConvModule
        channels = int(stage.out_channels * widen)
        parts: list[nn.Module] = [conv(int(stage.in_channels * widen), channels, 3, stride=2, padding=1, **cfgs)]
        if stage.use_spp:
            parts.append(SPPBottleneck(channels, channels, kernel_sizes=self.spp_kernel_sizes, **cfgs))
        csp = CSPLayer(
            channels,
            channels,
            num_blocks=max(round(stage.num_blocks * deepen), 1),
            add_identity=stage.add_identity,
            use_depthwise=self.use_depthwise,
            use_cspnext_block=True,
            expand_ratio=self.expand_ratio,
            channel_attention=self.channel_attention,
            **cfgs,
        )
        return nn.Sequential(*parts, csp)

    def train(self, mode: bool = True) -> Self:
        """Switch modes, but keep frozen parts frozen."""
        super().train(mode)
        for name in self.layers[: self.frozen_stages + 1]:
            part = getattr(self, name)
            part.eval()
            part.requires_grad_(False)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the wanted maps of (N, 3, H, W) images."""
        outs = []
        for number, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if number in self.out_indices:
                outs.append(x)
        return tuple(outs)


def _stem(channels: int, cfgs: dict[str, Any]) -> nn.Sequential:
    half = channels // 2
    return nn.Sequential(
        ConvModule(3, half, 3, padding=1, stride=2, **cfgs),
        ConvModule(half, half, 3, padding=1, stride=1, **cfgs),
        ConvModule(half, channels, 3, padding=1, stride=1, **cfgs),
    )
