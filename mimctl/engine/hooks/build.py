"""From `default_hooks` and `custom_hooks` of a config to hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.errors import ConfigError, nearest

DEFAULT_HOOKS: Mapping[str, Mapping[str, Any]] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
}
OFFERED_HOOKS: Mapping[str, Mapping[str, Any]] = {"preemption": {"type": "PreemptionHook"}}
"""Not there by default (`mimctl train` adds it); under these names they need no `type` either."""


def build_hooks(default_hooks: Mapping[str, Any] | None, custom_hooks: Sequence[Any] | None) -> list[Hook]:
    """Return the default hooks, changed by `default_hooks` (None leaves one out), and then the custom ones.

    An entry is a hook or a config; its `priority` replaces the hook's own. An empty mapping means no default hook.
    """
    entries: list[Any] = []
    if default_hooks is None or default_hooks:
        entries += [cfg for cfg in _with_defaults(default_hooks or {}).values() if cfg is not None]
    return [_build(each) for each in [*entries, *(custom_hooks or ())]]


def _with_defaults(default_hooks: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = dict(DEFAULT_HOOKS)
    known = {**DEFAULT_HOOKS, **OFFERED_HOOKS}
    for name, cfg in default_hooks.items():
        if isinstance(cfg, Mapping) and "type" not in cfg:
            if name not in known:
                near = nearest(name, list(known))
                hints = [f"did you mean `{near[0]}`?"] if near else [f"add `type`, as in `{name}=dict(type=…)`"]
                raise ConfigError(f"`default_hooks.{name}` has no `type`", code="missing-type", hints=hints)
            cfg = {"type": known[name]["type"], **cfg}
        merged[name] = cfg
    return merged


def _build(cfg: Any) -> Hook:
    if isinstance(cfg, Hook):
        return cfg
    if not isinstance(cfg, Mapping):
        raise ConfigError(f"a hook must be a dict with `type`, got {type(cfg).__name__}", code="missing-type")
    options = dict(cfg)
    priority = options.pop("priority", None)
    hook: Hook = HOOKS.build(options)
    if priority is not None:
        hook.priority = priority
    return hook
