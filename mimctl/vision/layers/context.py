"""Layers that let every pixel see the whole map, and the builder of layers that are plugged into backbones.

Sources: Wang et al., Non-local neural networks (arXiv:1711.07971); Cao et al., GCNet (arXiv:1904.11492).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimctl.engine.model import constant_init, kaiming_init, normal_init
from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError
from mimctl.vision.layers.conv_module import ConvModule

Cfg = Mapping[str, Any]
_CONV2D: Cfg = {"type": "Conv2d"}
_MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


@MODELS.register_module()
class NonLocal2d(nn.Module):
    """Add to each pixel a mean of all pixels, weighted by how alike they are.

    `mode` says how likeness is measured: `embedded_gaussian` (softmax of products, divided by the root of the channels
    with `use_scale`), `gaussian`, `dot_product` or `concatenation`. `sub_sample` looks at every second pixel of the
    others. The output convolution starts at zero, so that the layer begins as the identity.
    """

    _abbr_ = "nonlocal_block"

    def __init__(
        self,
        in_channels: int,
        sub_sample: bool = False,
        conv_cfg: Cfg = _CONV2D,
        reduction: int = 2,
        use_scale: bool = True,
        norm_cfg: Cfg | None = None,
        mode: str = "embedded_gaussian",
        std: float = 0.01,
        zeros_init: bool = True,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            raise ConfigError(f"a mode is one of {', '.join(_MODES)}, not {mode!r}", code="bad-argument")
        self.in_channels = in_channels
        self.inter_channels = max(in_channels // reduction, 1)
        self.sub_sample = sub_sample
        self.use_scale = use_scale
        self.mode = mode

        def reduced() -> ConvModule:
            return ConvModule(in_channels, self.inter_channels, 1, conv_cfg=conv_cfg, act_cfg=None)

        self.g: nn.Module = reduced()
        self.conv_out = ConvModule(
            self.inter_channels, in_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None
        )
        self.phi: nn.Module | None = None
        if mode != "gaussian":
            self.theta = reduced()
            self.phi = reduced()
        if mode == "concatenation":
            self.concat_project = ConvModule(self.inter_channels * 2, 1, 1, bias=False)
        self.init_weights(std, zeros_init)
        if sub_sample:
            self.g = nn.Sequential(self.g, nn.MaxPool2d(2))
            self.phi = nn.Sequential(self.phi, nn.MaxPool2d(2)) if self.phi is not None else nn.MaxPool2d(2)

    def init_weights(self, std: float = 0.01, zeros_init: bool = True) -> None:
        """Draw the weights from a normal distribution, those of the output at zero with `zeros_init`."""
        for each in (self.g, getattr(self, "theta", None), self.phi):
            if isinstance(each, ConvModule):
                normal_init(each.conv, std=std)
        last = self.conv_out.conv if self.conv_out.norm is None else self.conv_out.norm
        if zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        values = self.g(x).flatten(2).transpose(1, 2)
        mixed = (self._weights(x) @ values).transpose(1, 2).reshape(x.shape[0], self.inter_channels, *x.shape[2:])
        result: Tensor = x + self.conv_out(mixed)
        return result

    def _weights(self, x: Tensor) -> Tensor:
        """Return (N, H x W, pixels looked at): how much each counts for each."""
        own = x if self.mode == "gaussian" else self.theta(x)
        others = x if self.phi is None else self.phi(x)
        queries, keys = own.flatten(2).transpose(1, 2), others.flatten(2)
        if self.mode == "concatenation":
            first = queries.transpose(1, 2).unsqueeze(3).expand(-1, -1, -1, keys.shape[2])
            second = keys.unsqueeze(2).expand(-1, -1, queries.shape[1], -1)
            likeness: Tensor = self.concat_project(torch.cat([first, second], dim=1)).squeeze(1)
            return likeness / likeness.shape[-1]
        likeness = queries @ keys
        if self.mode == "dot_product":
            return likeness / likeness.shape[-1]
        if self.mode == "embedded_gaussian" and self.use_scale:
            likeness = likeness / queries.shape[-1] ** 0.5
        return likeness.softmax(-1)


@MODELS.register_module()
class ContextBlock(nn.Module):
    """Change every pixel by the same function of a mean over the map.

    The mean is weighted by attention (`pooling_type="att"`) or plain (`avg`); its function, over `in_channels * ratio`
    channels, is added (`channel_add`) or multiplied as a gate (`channel_mul`), as `fusion_types` say.
    """

    _abbr_ = "context_block"

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: str = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        if pooling_type not in ("att", "avg") or not fusion_types or set(fusion_types) - {"channel_add", "channel_mul"}:
            raise ConfigError(
                "pooling is `att` or `avg`, fusion `channel_add`, `channel_mul` or both",
                code="bad-argument",
                causes=[f"got {pooling_type!r} and {tuple(fusion_types)}"],
            )
        self.in_channels = in_channels
        self.ratio = ratio
        self.planes = int(in_channels * ratio)
        self.pooling_type = pooling_type
        self.fusion_types = tuple(fusion_types)
        self.conv_mask = nn.Conv2d(in_channels, 1, 1) if pooling_type == "att" else None
        self.channel_add_conv = self._branch() if "channel_add" in fusion_types else None
        self.channel_mul_conv = self._branch() if "channel_mul" in fusion_types else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights; each branch's last convolution starts at zero."""
        if self.conv_mask is not None:
            kaiming_init(self.conv_mask, mode="fan_in")
        for branch in (self.channel_add_conv, self.channel_mul_conv):
            if branch is not None:
                constant_init(branch[-1], 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        context = self.spatial_pool(x)
        out = x
        if self.channel_mul_conv is not None:
            out = out * torch.sigmoid(self.channel_mul_conv(context))
        if self.channel_add_conv is not None:
            out = out + self.channel_add_conv(context)
        return out

    def spatial_pool(self, x: Tensor) -> Tensor:
        """Return the mean over the map, (N, C, 1, 1)."""
        if self.conv_mask is None:
            return functional.adaptive_avg_pool2d(x, 1)
        weights = self.conv_mask(x).flatten(2).softmax(2)
        mean: Tensor = x.flatten(2) @ weights.transpose(1, 2)
        return mean.unsqueeze(3)

    def _branch(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(self.in_channels, self.planes, 1),
            nn.LayerNorm([self.planes, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(self.planes, self.in_channels, 1),
        )


def build_plugin_layer(cfg: Cfg, postfix: int | str = "", **kwargs: Any) -> tuple[str, nn.Module]:
    """Return (attribute name, layer) of a layer that is plugged into a backbone; `kwargs` go to it.

    The name is the class's `_abbr_`, else its name in snake case, and then `postfix`.
    """
    layer: nn.Module = MODELS.build({**kwargs, **cfg})
    kind = type(layer)
    name = getattr(kind, "_abbr_", None) or re.sub(
        r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__
    )
    return f"{name.lower()}{postfix}", layer
