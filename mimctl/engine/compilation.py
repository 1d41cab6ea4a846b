"""`torch.compile` for the forward pass of a training, in place: the config's `compile`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest


def compile_training(model: nn.Module, options: bool | Mapping[str, Any] | None) -> None:
    """Let `model` run compiled in training mode and as it is in evaluation, whose shapes change from image to image.

    `options` are those of `torch.compile` (`backend`, `mode`, `dynamic`, …), or true for its defaults; nothing happens
    for None and false. Modules, parameters and the keys of the state dict stay; a deep copy (an averaged model) is
    not compiled. Wrap the model for several ranks or devices around the result. ConfigError for unknown options.
    """
    if options is None or options is False:
        return
    if options is not True and not isinstance(options, Mapping):
        raise ConfigError(f"`compile` must be true, false or a dict, got {type(options).__name__}")
    given = {} if options is True else dict(options)
    _check(given)
    model.compile(**given)
    compiled: Callable[..., Any] | None = model._compiled_call_impl
    plain = model._call_impl

    def call(*args: Any, **kwargs: Any) -> Any:
        chosen = compiled if model.training and compiled is not None else plain
        return chosen(*args, **kwargs)

    # torch keeps this attribute out of deep copies and pickles, which so fall back to the plain call.
    model._compiled_call_impl = call
    get_logger().info("the training's forward pass is compiled: its first iterations take longer")


def _check(options: Mapping[str, Any]) -> None:
    known = [name for name in inspect.signature(torch.compile).parameters if name not in ("model", "disable")]
    for key in options:
        if key not in known:
            hints = did_you_mean(nearest(key, known, most=1)) or [f"it takes {', '.join(known)}"]
            raise ConfigError(f"`compile` has no option `{key}`", code="bad-argument", hints=hints)
    backend = options.get("backend")
    if isinstance(backend, str) and backend not in _backends():
        raise ConfigError(
            f"`compile` has no back end `{backend}` here",
            code="bad-value",
            hints=did_you_mean(nearest(backend, _backends(), most=1)) or [f"there are {', '.join(_backends())}"],
        )


def _backends() -> list[str]:
    found: list[str] = torch.compiler.list_backends(exclude_tags=())
    return found
