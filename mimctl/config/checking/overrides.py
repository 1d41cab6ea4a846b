"""Overrides of the command line that reach nothing: keys that no file has, variables of which nothing is made."""

from __future__ import annotations

from typing import Any

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.tables import Scopes, split_type
from mimctl.config.config import Config
from mimctl.config.overrides import nearest_path
from mimctl.config.schema import PLAIN_KEYS, RUNNER_KEYS, TOOL_KEYS
from mimctl.config.values import ConfigDict
from mimctl.errors import nearest

_KNOWN = RUNNER_KEYS | TOOL_KEYS
_USED_PLACES = {
    "train_pipeline": "override `train_dataloader.dataset.pipeline`",
    "val_pipeline": "override `val_dataloader.dataset.pipeline`",
    "test_pipeline": "override `test_dataloader.dataset.pipeline` and `val_dataloader.dataset.pipeline`",
    "max_epochs": "use `--epochs`, or override `train_cfg.max_epochs`",
    "base_lr": "use `--lr`, or override `optim_wrapper.optimizer.lr`",
    "data_root": "use `--data`, or override `train_dataloader.dataset.data_root` and its kin",
    "img_scale": "use `--imgsz`",
    "vis_backends": "override `visualizer.vis_backends`",
}


def find_unknown_overrides(case: Case) -> Mistakes:
    """Yield overridden paths that no file has and no type knows."""
    config = case.config
    for path in config.created:
        holder_path, _, key = path.rpartition(".")
        if holder_path and holder_path.partition(".")[0] not in _KNOWN:
            continue  # a part of a variable
        typed = next((each for each in config.overridden if each == path or each.startswith(f"{path}.")), path)
        near = nearest_path(_without(config, path), typed)
        if holder_path:
            accepts = _accepts(case, config.select(holder_path), holder_path, key)
            is_bad = accepts is False or (accepts is None and near is not None)
        else:
            is_bad = key not in _KNOWN and not case.is_open
            near = near or next(iter(nearest(key, _KNOWN, most=1)), None)
        if is_bad:
            message = f"no file of this config has `{path}`"
            yield Mistake(path=path, message=message, code="unknown-override", near=(near,) if near else ())


def find_idle_overrides(case: Case) -> Mistakes:
    """Yield overrides of the config's own variables of which the files make nothing."""
    for path in () if case.is_open else case.config.idle:
        top = path.partition(".")[0]
        yield Mistake(
            path=path,
            message=f"overriding `{path}` changes nothing in a run",
            code="override-without-effect",
            causes=(f"`{top}` is a variable of the config, and no value that a run reads is made of it",),
            hints=(_USED_PLACES.get(top, "override the key that a run reads, e.g. `train_dataloader.dataset.…`"),),
        )


def _accepts(case: Case, holder: Any, path: str, key: str) -> bool | None:
    """Say whether a dict takes a key that no file gave it: True, False, or None where that is not known."""
    if path in PLAIN_KEYS:
        return key in PLAIN_KEYS[path]
    if path in ("default_hooks", "optim_wrapper.paramwise_cfg"):
        return None
    part = case.part(holder, path, _scopes_at(case, path)) if isinstance(holder, ConfigDict) else None
    if part is None or not part.found:
        return None
    return any(not each.unknown({key: None}, path) for each in part.found)


def _scopes_at(case: Case, path: str) -> Scopes:
    """Return the scopes that names at a path are searched in."""
    scopes = case.default_scopes
    value: Any = case.config
    for part in path.split("."):
        value = value[part] if isinstance(value, (ConfigDict, Config)) else value[int(part)]
        if isinstance(value, ConfigDict):
            own = value.get("_scope_")
            scopes = (own, *scopes) if isinstance(own, str) else scopes
            scopes = (*scopes, *split_type(value, ())[1])
    return scopes


def _without(config: Config, path: str) -> ConfigDict:
    """Return the config without the key that an override created."""
    copied = config.copy()
    holder_path, _, key = path.rpartition(".")
    holder = copied.select(holder_path) if holder_path else copied
    if isinstance(holder, (ConfigDict, Config)):
        holder.pop(key, None)
    return ConfigDict(copied)
