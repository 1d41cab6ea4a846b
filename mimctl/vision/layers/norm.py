"""Normalisation layers by name, with the attribute name that state dicts know them by (`bn`, `gn`, `ln`, `in`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mimctl.engine.ranks.sync_batch_norm import SyncBatchNorm as SyncBatchNorm
from mimctl.engine.registry import MODELS
from mimctl.errors import ConfigError

MODELS.register_module(name=["BN", "BN2d"], module=nn.BatchNorm2d)
MODELS.register_module(name="BN1d", module=nn.BatchNorm1d)
MODELS.register_module(name="BN3d", module=nn.BatchNorm3d)
MODELS.register_module(name=["IN", "IN2d"], module=nn.InstanceNorm2d)
MODELS.register_module(name="IN1d", module=nn.InstanceNorm1d)
MODELS.register_module(name="IN3d", module=nn.InstanceNorm3d)
MODELS.register_module(name="GN", module=nn.GroupNorm)
MODELS.register_module(name="LN", module=nn.LayerNorm)


@MODELS.register_module(name="LN2d")
class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (N, C, H, W)."""

    def __init__(self, num_channels: int, **kwargs: Any) -> None:
        super().__init__(num_channels, **kwargs)
        self.num_channels = self.normalized_shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()


_SHORT_NAMES: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.modules.instancenorm._InstanceNorm, "in"),
    (nn.modules.batchnorm._BatchNorm, "bn"),
    (nn.GroupNorm, "gn"),
    (nn.LayerNorm, "ln"),
)


def build_norm_layer(cfg: Mapping[str, Any], num_features: int, postfix: int | str = "") -> tuple[str, nn.Module]:
    """Return (attribute name, layer) of a `norm_cfg`; `requires_grad=False` in it freezes the layer's weights.

    `eps` defaults to 1e-5. ConfigError where `cfg` names no normalisation.
    """
    kind = MODELS.get(cfg["type"]) if isinstance(cfg.get("type"), str) else cfg.get("type")
    short = next((name for base, name in _SHORT_NAMES if isinstance(kind, type) and issubclass(kind, base)), None)
    if kind is not None and short is None:
        raise ConfigError(f"`{cfg['type']}` is no normalisation layer", code="unknown-type")
    arguments = {"eps": 1e-5, **cfg}
    requires_grad = arguments.pop("requires_grad", True)
    if short == "gn":
        layer: nn.Module = MODELS.build(arguments, num_channels=num_features)
    else:
        layer = MODELS.build(arguments, num_features)
    for parameter in layer.parameters():
        parameter.requires_grad = requires_grad
    return f"{short}{postfix}", layer


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Say whether a layer normalises, other than the types in `exclude`."""
    return isinstance(layer, tuple(each for each, _ in _SHORT_NAMES)) and not isinstance(layer, exclude or ())
