"""Convolution and padding layers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mimctl.engine.registry import MODELS

MODELS.register_module(name=["Conv", "Conv2d"], module=nn.Conv2d)
MODELS.register_module(name="Conv1d", module=nn.Conv1d)
MODELS.register_module(name="Conv3d", module=nn.Conv3d)
MODELS.register_module(name=["deconv", "deconv2d"], module=nn.ConvTranspose2d)
MODELS.register_module(name="zero", module=nn.ZeroPad2d)
MODELS.register_module(name="reflect", module=nn.ReflectionPad2d)
MODELS.register_module(name="replicate", module=nn.ReplicationPad2d)


def build_conv_layer(cfg: Mapping[str, Any] | None, *args: Any, **kwargs: Any) -> Any:
    """Return the convolution of a `conv_cfg` (None: a plain 2-D one); other arguments go to its constructor."""
    if cfg is None:
        return nn.Conv2d(*args, **kwargs)
    return MODELS.build({**kwargs, **cfg}, *args)


def build_padding_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Return the padding layer of a config such as `dict(type='reflect')`; other arguments (`padding`) go to it."""
    layer: nn.Module = MODELS.build({**kwargs, **cfg}, *args)
    return layer
