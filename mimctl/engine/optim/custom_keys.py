"""Custom keys of `paramwise_cfg` against a model: each should be part of some parameter's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mimctl.config.checking.parameters import unmatched
from mimctl.config.language.limits import origin_of
from mimctl.config.tables.facts import names_in
from mimctl.config.tables.sources import Sources
from mimctl.config.values import ConfigDict
from mimctl.engine.lookup.user_types import source_of
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest


def check_custom_keys(custom_keys: Mapping[str, Any], model: nn.Module) -> None:
    """Refuse keys that no parameter's name contains, but for names that the model's code has for other settings."""
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    idle = [key for key in custom_keys if not any(key in name for name in names)]
    known = _names_in_code(model) if idle else set()
    for key in idle:
        if not unmatched(key, known):
            get_logger().warning("paramwise_cfg.custom_keys: this model has no parameter `%s`", key)
            continue
        place = custom_keys.place_of(key) if isinstance(custom_keys, ConfigDict) else None
        raise ConfigError(
            f"`paramwise_cfg.custom_keys` names `{key}`, which is part of no parameter's name",
            code="unknown-parameter",
            hints=did_you_mean(nearest(key, _pieces(names), most=1)),
            origin=origin_of(place) if place else None,
        )


def _pieces(names: list[str]) -> set[str]:
    """Return every run of whole parts of names, as keys are usually written: `backbone`, `backbone.0`, `0.weight`."""
    split = [name.split(".") for name in names]
    return {
        ".".join(parts[start:end])
        for parts in split
        for start in range(len(parts))
        for end in range(start + 1, len(parts) + 1)
    }


def _names_in_code(model: nn.Module) -> set[str]:
    """Return the names that a model's classes give to parts and parameters in their source, whatever the settings."""
    sources = Sources({})
    found: set[str] = set()
    for cls in {each for part in model.modules() for each in type(part).__mro__}:
        module = (
            None if cls.__module__.partition(".")[0] in ("torch", "builtins") else source_of(sources, cls.__module__)
        )
        node = module.definitions.get(cls.__name__) if module is not None else None
        found.update(names_in([node] if node is not None else []))
    return found
