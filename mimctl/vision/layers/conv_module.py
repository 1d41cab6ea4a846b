"""Convolution, normalisation and activation as one block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mimctl.engine.model import constant_init, kaiming_init
from mimctl.engine.registry import MODELS
from mimctl.vision.layers.activation import build_activation_layer, with_inplace
from mimctl.vision.layers.conv import build_conv_layer, build_padding_layer
from mimctl.vision.layers.norm import build_norm_layer

Cfg = Mapping[str, Any] | None
_DEFAULT_ACT: Mapping[str, Any] = {"type": "ReLU"}
_NATIVE_PADDING = ("zeros", "circular")


@MODELS.register_module()
class ConvModule(nn.Module):
    """Apply convolution, normalisation and activation in `order`; the latter two where their config is given.

    `bias='auto'` means: a bias only without normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool | str = "auto",
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = None,
        act_cfg: Cfg = _DEFAULT_ACT,
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: str = "zeros",
        order: tuple[str, str, str] = ("conv", "norm", "act"),
    ) -> None:
        super().__init__()
        if sorted(order) != ["act", "conv", "norm"]:
            raise ValueError(f"`order` must hold 'conv', 'norm' and 'act' once each, not {order}")
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.inplace, self.order, self.with_spectral_norm = inplace, tuple(order), with_spectral_norm
        self.with_norm, self.with_activation = norm_cfg is not None, act_cfg is not None
        self.with_bias = bool(not self.with_norm if bias == "auto" else bias)
        self.with_explicit_padding = padding_mode not in _NATIVE_PADDING
        conv_args: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "bias": self.with_bias}
        if self.with_explicit_padding:
            self.padding_layer = build_padding_layer({"type": padding_mode}, padding)
        else:
            conv_args["padding"] = padding
            conv_args |= {} if padding_mode == "zeros" else {"padding_mode": padding_mode}
        conv = build_conv_layer(conv_cfg, in_channels, out_channels, kernel_size, **conv_args)
        self.conv = nn.utils.spectral_norm(conv) if with_spectral_norm else conv
        self._add_norm(in_channels, out_channels)
        if act_cfg is not None:
            self.activate = build_activation_layer(with_inplace(act_cfg, inplace))
        self.init_weights()

    def _add_norm(self, in_channels: int, out_channels: int) -> None:
        self.norm_name: str | None = None
        if self.norm_cfg is not None:
            after_conv = self.order.index("norm") > self.order.index("conv")
            self.norm_name, norm = build_norm_layer(self.norm_cfg, out_channels if after_conv else in_channels)
            self.add_module(self.norm_name, norm)

    @property
    def norm(self) -> nn.Module | None:
        """Return the normalisation layer, if there is one."""
        return getattr(self, self.norm_name) if self.norm_name else None

    def init_weights(self) -> None:
        """Initialise the convolution after He et al. 2015, the normalisation with 1 and 0."""
        if not hasattr(self.conv, "init_weights"):
            leaky = self.act_cfg is not None and self.act_cfg.get("type") == "LeakyReLU"
            slope = self.act_cfg.get("negative_slope", 0.01) if leaky and self.act_cfg is not None else 0
            kaiming_init(self.conv, a=slope, nonlinearity="leaky_relu" if leaky else "relu")
        if self.norm is not None:
            constant_init(self.norm, 1, bias=0)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """Return the block's output; `activate` and `norm` can leave those steps out."""
        for step in self.order:
            if step == "conv":
                x = self.conv(self.padding_layer(x) if self.with_explicit_padding else x)
            elif step == "norm":
                if norm and self.norm_name:
                    x = getattr(self, self.norm_name)(x)
            elif activate and self.with_activation:
                x = self.activate(x)
        return x
