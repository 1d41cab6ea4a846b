"""Finds the mistakes in a config before any process starts: unknown types, arguments, keys and overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimctl.config.config import Config
from mimctl.config.overrides import nearest_path
from mimctl.config.schema import (
    COMPLETE_KINDS,
    DEFAULT_HOOKS,
    FILLED,
    NEEDS_TYPE,
    NOT_TYPES,
    PARAMWISE_KEYS,
    PLAIN_KEYS,
    RUNNER_KEYS,
    TOOL_KEYS,
    VARIABLE_KEYS,
    also_taken,
    expected_kinds,
)
from mimctl.config.scopes import FALLBACK_SCOPES, canonical_scope
from mimctl.config.values import ConfigDict, LazyReference
from mimctl.errors import ConfigError, nearest

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
_MARKS = frozenset({"type", "_scope_", "_delete_"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    """A type that a name may stand for."""

    kind: str
    name: str
    params: Mapping[str, Mapping[str, bool]]
    extra: bool

    def unknown(self, config: ConfigDict, path: str) -> list[str]:
        """Return the keys that this type takes no argument for."""
        if self.extra:
            return []
        also = also_taken(self.kind, path)
        return [key for key in config if key not in self.params and key not in _MARKS and key not in also]

    def missing(self, config: ConfigDict, path: str) -> list[str]:
        """Return the required arguments that neither the config nor a builder gives."""
        if self.kind not in COMPLETE_KINDS and not (self.kind == "model" and expected_kinds(path) == ("model",)):
            return []
        filled = FILLED.get(self.kind, frozenset())
        return [name for name, facts in self.params.items() if facts["required"] and not {name} & {*config, *filled}]


class _Tables:
    """The type tables of the installed packages, by scope."""

    def __init__(self, tables: Sequence[Mapping[str, Any]]) -> None:
        self.kinds: dict[str, Mapping[str, Mapping[str, Any]]] = {each["scope"]: each["kinds"] for each in tables}

    def order(self, scope: str | None) -> list[str]:
        """Return the scopes that a name is searched in, the nearest first."""
        own = [canonical_scope(scope)] if scope else []
        return list(dict.fromkeys([*own, *FALLBACK_SCOPES]))

    def is_complete(self, scope: str | None) -> bool:
        """Say whether every scope that a name may come from has a table, so that a miss is a mistake."""
        return all(each in self.kinds for each in self.order(scope))

    def find(self, name: str, scope: str | None) -> list[_Type]:
        """Return what `name` may stand for: of each kind, the one in the nearest scope."""
        found: dict[str, _Type] = {}
        for each in self.order(scope):
            for kind, names in self.kinds.get(each, {}).items():
                if name in names and kind not in found:
                    entry = names[name]
                    found[kind] = _Type(kind=kind, name=name, params=entry["params"], extra=entry["extra"])
        return list(found.values())

    def names(self, scope: str | None, kinds: tuple[str, ...] | None) -> set[str]:
        """Return all names of the given kinds (None: all)."""
        return {
            name
            for each in self.order(scope)
            for kind, names in self.kinds.get(each, {}).items()
            if kinds is None or kind in kinds
            for name in names
        }


def check(config: Config, tables: Sequence[Mapping[str, Any]]) -> list[ConfigError]:
    """Return every mistake that can be known from the types.json `tables`; an empty list means none was found.

    Codes: unknown-key, unknown-override, unknown-type, missing-type, bad-argument, missing-argument. Only what a run
    reads is looked at: variables of the config are free. Types of toolboxes without a table, and unknown types of a
    config with `custom_imports`, are left to the run itself.
    """
    return list(_Checker(config, _Tables(tables)).errors())


class _Checker:
    def __init__(self, config: Config, tables: _Tables) -> None:
        self.config = config
        self.tables = tables
        self.is_open = bool(config.get("custom_imports"))
        self.reported: set[str] = set()

    def errors(self) -> Iterator[ConfigError]:
        yield from self._overrides()
        yield from self._idle_overrides()
        yield from self._top_level()
        for key in [each for each in self.config if each in RUNNER_KEYS]:
            yield from self._value(self.config[key], key, self.config.get("default_scope"))
        yield from self._plain()

    def _error(
        self,
        path: str,
        message: str,
        code: str,
        *,
        causes: Sequence[str] = (),
        near: Sequence[str] = (),
        hints: Sequence[str] = (),
    ) -> Iterator[ConfigError]:
        if path in self.reported:
            return
        self.reported.add(path)
        shown = [f"did you mean {' or '.join(f'`{each}`' for each in near)}?"] if near else []
        yield ConfigError(
            message, code=code, causes=list(causes), hints=[*shown, *hints], origin=self.config.origin(path)
        )

    # keys and overrides

    def _overrides(self) -> Iterator[ConfigError]:
        known = RUNNER_KEYS | TOOL_KEYS
        for path in self.config.created:
            holder_path, _, key = path.rpartition(".")
            if holder_path and holder_path.partition(".")[0] not in known:
                continue  # a part of a variable
            typed = next((each for each in self.config.overridden if each == path or each.startswith(f"{path}.")), path)
            near = nearest_path(_without(self.config, path), typed)
            if holder_path:
                accepts = self._accepts(self.config.select(holder_path), holder_path, key)
                is_bad = accepts is False or (accepts is None and near is not None)
            else:
                is_bad = key not in known and not self.is_open
                near = near or next(iter(nearest(key, known, most=1)), None)
            if is_bad:
                message = f"no file of this config has `{path}`"
                yield from self._error(path, message, "unknown-override", near=[near] if near else [])

    def _idle_overrides(self) -> Iterator[ConfigError]:
        """Report overrides of the config's own variables of which the files make nothing."""
        for path in () if self.is_open else self.config.idle:
            top = path.partition(".")[0]
            yield from self._error(
                path,
                f"overriding `{path}` changes nothing in a run",
                "override-without-effect",
                causes=[f"`{top}` is a variable of the config, and no value that a run reads is made of it"],
                hints=[_USED_PLACES.get(top, "override the key that a run reads, e.g. `train_dataloader.dataset.…`")],
            )

    def _accepts(self, holder: Any, path: str, key: str) -> bool | None:
        """Say whether a dict takes a key that no file gave it: True, False, or None where that is not known."""
        if path in PLAIN_KEYS:
            return key in PLAIN_KEYS[path]
        if path in ("default_hooks", "optim_wrapper.paramwise_cfg"):
            return None
        found = self._candidates(holder, path, self._scope_at(path))[0] if isinstance(holder, ConfigDict) else []
        if not found:
            return None
        return any(not each.unknown(ConfigDict({key: None}), path) for each in found)

    def _scope_at(self, path: str) -> str | None:
        """Return the scope that names at a path are searched in."""
        scope: str | None = self.config.get("default_scope")
        value: Any = self.config
        for part in path.split("."):
            value = value[part] if isinstance(value, Mapping) else value[int(part)]
            if isinstance(value, ConfigDict):
                scope = _split_type(value, value.get("_scope_") or scope)[1]
        return scope

    def _top_level(self) -> Iterator[ConfigError]:
        known = RUNNER_KEYS | TOOL_KEYS | VARIABLE_KEYS
        for key in self.config:
            if key in known or not isinstance(key, str):
                continue
            near = [each for each in nearest(key, RUNNER_KEYS, most=1) if _is_misspelled(key, each)]
            if near and not self.config.reads_variable(key):
                yield from self._error(key, f"nothing reads the top-level key `{key}`", "unknown-key", near=near)

    def _plain(self) -> Iterator[ConfigError]:
        for path, known in PLAIN_KEYS.items():
            yield from self._keys_of(path, self.config.select(path), known)
        wrapper = self.config.get("optim_wrapper")
        if isinstance(wrapper, ConfigDict) and wrapper.get("constructor") in (None, "DefaultOptimWrapperConstructor"):
            path = "optim_wrapper.paramwise_cfg"
            yield from self._keys_of(path, wrapper.get("paramwise_cfg"), PARAMWISE_KEYS)
        hooks = self.config.get("default_hooks")
        for key in hooks if isinstance(hooks, ConfigDict) else ():
            near = [each for each in nearest(key, DEFAULT_HOOKS, most=1) if _is_misspelled(key, each)]
            if near and key not in DEFAULT_HOOKS:
                message = f"`default_hooks.{key}` replaces no default hook"
                yield from self._error(f"default_hooks.{key}", message, "unknown-key", near=near)

    def _keys_of(self, path: str, value: Any, known: frozenset[str]) -> Iterator[ConfigError]:
        for key in value if isinstance(value, ConfigDict) and "type" not in value else ():
            if key not in known and key not in _MARKS:
                message = f"`{path}` has no key `{key}`"
                near = nearest(str(key), known)
                hints = () if near else (f"it has {', '.join(sorted(known))}",)
                yield from self._error(f"{path}.{key}", message, "unknown-key", near=near, hints=hints)

    # types

    def _value(self, value: Any, path: str, scope: str | None) -> Iterator[ConfigError]:
        if isinstance(value, ConfigDict):
            scope = value.get("_scope_") or scope
            if path.rpartition(".")[2] not in NOT_TYPES:
                yield from self._typed(value, path, scope)
            inner = _split_type(value, scope)[1]
            for key, item in value.items():
                if isinstance(item, (ConfigDict, list, tuple)):
                    yield from self._value(item, f"{path}.{key}", inner)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if isinstance(item, (ConfigDict, list, tuple)):
                    yield from self._value(item, f"{path}.{index}", scope)

    def _typed(self, value: ConfigDict, path: str, scope: str | None) -> Iterator[ConfigError]:
        kinds = expected_kinds(path)
        if "type" not in value:
            yield from self._untyped(value, path, kinds)
        found, name, inner = self._candidates(value, path, scope)
        if name is None:
            return
        if not found:
            if self.tables.is_complete(inner) and not self.is_open:
                yield from self._unknown(path, name, inner, kinds)
            return
        wanted = [each for each in found if kinds is None or each.kind in kinds]
        if not wanted and not self.is_open:
            message = f"`{name}` is a {found[0].kind}, and `{path}` needs a {' or '.join(kinds or ())}"
            near = nearest(name, self.tables.names(inner, kinds))
            yield from self._error(f"{path}.type", message, "unknown-type", near=near)
        if wanted and all(each.unknown(value, path) or each.missing(value, path) for each in wanted):
            yield from self._arguments(value, path, wanted[0])

    def _candidates(
        self, value: ConfigDict, path: str, scope: str | None
    ) -> tuple[list[_Type], str | None, str | None]:
        """Return what the `type` of a dict may stand for, that name, and the scope it is looked up in."""
        if path == "optim_wrapper" and "type" not in value and "constructor" not in value:
            return self.tables.find("OptimWrapper", scope), "OptimWrapper", scope
        name, inner = _split_type(value, scope)
        return (self.tables.find(name, inner) if name else []), name, inner

    def _untyped(self, value: ConfigDict, path: str, kinds: tuple[str, ...] | None) -> Iterator[ConfigError]:
        if kinds and kinds[0] in NEEDS_TYPE and value and path not in RUNNER_KEYS - {"param_scheduler"}:
            first = next(iter(value))
            yield from self._error(f"{path}.{first}", f"`{path}` needs a `type`", "missing-type")

    def _unknown(self, path: str, name: str, scope: str | None, kinds: tuple[str, ...] | None) -> Iterator[ConfigError]:
        near = nearest(name, self.tables.names(scope, kinds))
        what = " or ".join(kinds) if kinds else "type"
        elsewhere = [
            each for each in self.tables.kinds if any(name in held for held in self.tables.kinds[each].values())
        ]
        hints = [f"`{each}` has it: set `default_scope = '{each}'`, or write `{each}.{name}`" for each in elsewhere]
        yield from self._error(
            f"{path}.type",
            f"unknown {what} `{name}` at `{path}`",
            "unknown-type",
            causes=[f"searched the scopes {', '.join(self.tables.order(scope))}"],
            near=() if elsewhere else near,
            hints=hints,
        )

    def _arguments(self, value: ConfigDict, path: str, found: _Type) -> Iterator[ConfigError]:
        unknown = found.unknown(value, path)
        for key in unknown:
            own = [*found.params, *also_taken(found.kind, path)]
            causes, hints = self._inherited(value, path, key)
            yield from self._error(
                f"{path}.{key}",
                f"`{found.name}` takes no argument `{key}`",
                "bad-argument",
                causes=[f"it is at `{path}.{key}`", *causes],
                near=nearest(str(key), own),
                hints=hints,
            )
        for key in found.missing(value, path):
            near = [name for name in unknown if nearest(str(name), [key])]
            hints = [] if near else [f"write `{key}=…` there, or `--cfg-options {path}.{key}=…`"]
            message = f"`{found.name}` at `{path}` needs the argument `{key}`"
            yield from self._error(
                f"{path}.type" if "type" in value else path, message, "missing-argument", hints=hints
            )

    def _inherited(self, value: ConfigDict, path: str, key: str) -> tuple[list[str], list[str]]:
        """Explain an argument that a base gave to another type than the one that stands there now."""
        type_place, place = value.place_of("type"), value.place_of(key)
        if not type_place or not place or type_place[0] == place[0] or not place[1]:
            return [], []
        where = self.config.origin(f"{path}.type")
        return [f"`type` is set at {where}"], ["write `_delete_=True` beside `type` to drop what the base gave"]


def _split_type(value: ConfigDict, scope: str | None) -> tuple[str | None, str | None]:
    """Return the plain name of a dict's `type` and the scope to search it in."""
    held = value.get("type")
    name = held.type_name if isinstance(held, LazyReference) else held
    if not isinstance(name, str) or not name:
        return None, scope
    head, dot, rest = name.partition(".")
    return (rest, head) if dot else (name, scope)


def _without(config: Config, path: str) -> ConfigDict:
    """Return the config without the key that an override created."""
    copied = config.copy()
    holder_path, _, key = path.rpartition(".")
    holder = copied.select(holder_path) if holder_path else copied
    if isinstance(holder, (ConfigDict, Config)):
        holder.pop(key, None)
    return ConfigDict(copied)


def _is_misspelled(word: str, meant: str) -> bool:
    """Say whether `word` is `meant` with a slip: few letters differ, and no whole word is put before or after."""
    if word.startswith(meant) or word.endswith(meant) or re.sub(r"\d+$", "", word) == meant:
        return False
    return _distance(word, meant) <= max(1, len(meant) // 6)


def _distance(left: str, right: str) -> int:
    """Return the number of insertions, deletions, replacements and swaps of neighbours between two words."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        new = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1]
