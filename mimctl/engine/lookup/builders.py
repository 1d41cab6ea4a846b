"""What a registry's `build` does for kinds of their own: models out of lists, runners out of whole configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mimctl.config.scopes import FALLBACK_SCOPES
from mimctl.engine.lookup.refusals import unknown_name
from mimctl.engine.lookup.scopes import current_scopes

if TYPE_CHECKING:
    from mimctl.engine.registry import Registry

BuildFunction = Callable[..., Any]


def build_from_cfg(cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build what `cfg` describes out of a registry; `default_args` fill arguments that it leaves out."""
    return registry.build_plainly(cfg, default_args=default_args)


def build_model_from_cfg(cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a model; a list of configs becomes a Sequential of them."""
    return build_model(cfg, registry=registry, default_args=default_args)


def build_model(cfg: Any, *args: Any, registry: Registry, **defaults: Any) -> Any:
    """Do so with arguments beside the config, as `Registry.build` has them."""
    if isinstance(cfg, list | tuple):
        from mimctl.engine.model.base_module import Sequential

        return Sequential(*(registry.build_plainly(each, *args, **defaults) for each in cfg))
    return registry.build_plainly(cfg, *args, **defaults)


def build_runner_from_cfg(cfg: Mapping[str, Any], registry: Registry) -> Any:
    """Build a runner from a whole config; `runner_type` names another class than `Runner`."""
    kind = cfg.get("runner_type", "Runner")
    found = registry.get(kind) if isinstance(kind, str) else kind
    if found is None:
        raise unknown_name(registry.kind, kind, ["user", *current_scopes(), *FALLBACK_SCOPES], registry.names())
    return found.from_cfg(cfg)
