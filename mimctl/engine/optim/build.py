"""From the config's `optim_wrapper` to a wrapper around an optimizer of the model's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict
from mimctl.engine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mimctl.errors import ConfigError


def build_optim_wrapper(model: nn.Module, cfg: Any) -> OptimWrapper:
    """Build a wrapper from `dict(type=…, optimizer=…, paramwise_cfg=…, constructor=…)`.

    A wrapper that is already built is returned as it is; a mapping of names to such dicts without `optimizer`
    and `constructor` gives an OptimWrapperDict only where its values are built wrappers.
    """
    if isinstance(cfg, OptimWrapper):
        return cfg
    if not isinstance(cfg, Mapping):
        raise ConfigError(f"`optim_wrapper` must be a dict, got {type(cfg).__name__}")
    options = dict(cfg)
    if "optimizer" not in options and "constructor" not in options:
        if options and all(isinstance(each, OptimWrapper) for each in options.values()):
            return OptimWrapperDict(**options)
        raise ConfigError("`optim_wrapper` needs `optimizer`", hints=["write `optimizer=dict(type='SGD', lr=…)`"])
    constructor = options.pop("constructor", "DefaultOptimWrapperConstructor")
    paramwise_cfg = options.pop("paramwise_cfg", None)
    options.setdefault("type", "OptimWrapper")
    builder = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {"type": constructor}, optim_wrapper_cfg=options, paramwise_cfg=paramwise_cfg
    )
    wrapper: OptimWrapper = builder(model)
    return wrapper
