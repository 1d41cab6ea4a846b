"""Modules of the user's own that a config asks for: imported on purpose, by whoever builds from the config."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, Origin


def import_custom_modules(cfg: Mapping[str, Any]) -> bool:
    """Import what `custom_imports` names, and return whether there is such a thing.

    With `allow_failed_imports` a module that cannot be imported is a warning; without it ConfigError[custom-import].
    """
    wanted = cfg.get("custom_imports")
    if not wanted:
        return False
    names = [wanted["imports"]] if isinstance(wanted["imports"], str) else wanted["imports"]
    origin = cfg.origin("custom_imports") if hasattr(cfg, "origin") else None
    for name in names:
        _import(name, is_optional=bool(wanted.get("allow_failed_imports", False)), origin=origin)
    return True


def _import(name: str, *, is_optional: bool, origin: Origin | None) -> None:
    try:
        importlib.import_module(name)
    except ImportError as err:
        if not is_optional:
            raise ConfigError(
                f"`custom_imports` names `{name}`, which cannot be imported",
                code="custom-import",
                causes=[f"{type(err).__name__}: {err}"],
                hints=["start the run in the folder that holds it, or install it"],
                origin=origin,
            ) from err
        get_logger().warning("custom_imports: `%s` cannot be imported: %s", name, err)
