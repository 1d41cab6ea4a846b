"""Dicts that are no types: their keys are all known, or known well enough to tell a slip."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.spelling import is_misspelled, slips
from mimctl.config.schema import DEFAULT_CONSTRUCTOR, DEFAULT_HOOKS, KNOWN_WELL, MARKS, PARAMWISE_KEYS, PLAIN_KEYS
from mimctl.config.values import ConfigDict
from mimctl.errors import nearest

_PARAMWISE = "optim_wrapper.paramwise_cfg"
_NMS_KEYS = frozenset(
    [
        "type",
        "iou_threshold",
        "iou_thr",
        "class_agnostic",
        "split_thr",
        "max_num",
        "score_threshold",
        "offset",
        "sigma",
        "min_score",
        "method",
        "clockwise",
    ]
)


def find_unknown_plain_keys(case: Case) -> Mistakes:
    """Yield keys that a plain dict does not have."""
    for path, known in PLAIN_KEYS.items():
        yield from _keys_of(path, case.config.select(path), known)


def find_unknown_paramwise_keys(case: Case) -> Mistakes:
    """Yield keys that `paramwise_cfg` of the default constructor does not have, its `custom_keys` included."""
    wrapper = case.config.get("optim_wrapper")
    if not isinstance(wrapper, ConfigDict) or wrapper.get("constructor", DEFAULT_CONSTRUCTOR) != DEFAULT_CONSTRUCTOR:
        return
    rules = wrapper.get("paramwise_cfg")
    yield from _keys_of(_PARAMWISE, rules, PARAMWISE_KEYS)
    custom = rules.get("custom_keys") if isinstance(rules, ConfigDict) else None
    optimizer = case.by_path.get("optim_wrapper.optimizer")
    if not isinstance(custom, ConfigDict) or optimizer is None or optimizer.type is None:
        return
    known = {"lr_mult", "decay_mult", *optimizer.type.params}
    for key, value in custom.items():
        # Options of a group that a hook reads may have any name.
        for mistake in _keys_of(f"{_PARAMWISE}.custom_keys.{key}", value, known):
            if any(is_misspelled(mistake.path.rpartition(".")[2], each) for each in mistake.near):
                yield mistake


def find_unknown_default_hooks(case: Case) -> Mistakes:
    """Yield names in `default_hooks` that miss the hook they were meant to change."""
    hooks = case.config.get("default_hooks")
    for key, value in hooks.items() if isinstance(hooks, ConfigDict) else ():
        if key in DEFAULT_HOOKS or not isinstance(key, str):
            continue
        near = slips(key, DEFAULT_HOOKS)[:1]
        is_untyped = isinstance(value, ConfigDict) and "type" not in value
        if near or is_untyped:
            yield Mistake(
                path=f"default_hooks.{key}",
                message=f"`default_hooks.{key}` replaces no default hook"
                + (" and has no `type`" if is_untyped else ""),
                code="unknown-key",
                near=tuple(near or nearest(key, list(DEFAULT_HOOKS), most=1)),
                hints=() if near else (f"they are {_listed(DEFAULT_HOOKS)}; another hook needs a `type`",),
            )


def find_misspelled_dataset_keys(case: Case) -> Mistakes:
    """Yield keys of a dataset's dicts that look like those that every dataset knows."""
    for part in case.parts:
        if part.type is None or part.type.kind != "dataset":
            continue
        for argument, known in KNOWN_WELL.items():
            held = part.value.get(argument)
            for key in held if isinstance(held, ConfigDict) else ():
                near = [] if key in known else [each for each in known if each.lower() == str(key).lower()]
                near = near or ([] if key in known else slips(str(key), known))
                if near:
                    path = f"{part.path}.{argument}"
                    message = f"nothing reads `{key}` of `{path}`"
                    yield Mistake(path=f"{path}.{key}", message=message, code="unknown-key", near=(near[0],))


def find_misspelled_model_keys(case: Case) -> Mistakes:
    """Yield keys of a model's `train_cfg` and `test_cfg` that its code never names and that look like one it does."""
    given = [(each, key) for each in case.below("model") for key in ("train_cfg", "test_cfg") if key in each.value]
    names = model_names(case) if given else set()
    for part, key in given if names else ():
        yield from _misspelled(part.value[key], f"{part.path}.{key}", names)


def _misspelled(value: Any, path: str, names: Collection[str]) -> Mistakes:
    if not isinstance(value, ConfigDict) or "type" in value:
        return
    for key, item in value.items():
        if path.endswith("_cfg") and key == "nms" and isinstance(item, ConfigDict):
            yield from _keys_of(f"{path}.nms", item, _NMS_KEYS, is_typed=True)
        elif isinstance(key, str) and key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.85)
            if near:
                message = f"nothing reads `{key}` of `{path}`"
                yield Mistake(path=f"{path}.{key}", message=message, code="unknown-key", near=(near[0],))
        else:
            yield from _misspelled(item, f"{path}.{key}", names)


def model_names(case: Case) -> set[str]:
    """Return every name that the code of the config's model uses; none where a part of it is not known."""
    modules = []
    for part in case.below("model"):
        if part.name is None:
            continue
        models = [each.module for each in part.found if each.kind == "model"]
        if not part.found or not all(each in case.tables.modules for each in models):
            return set()
        modules += models
    return names_of_modules(case, modules)


def names_of_modules(case: Case, modules: Iterable[str]) -> set[str]:
    """Return the names in modules and in all that they take parts from."""
    known = case.tables.modules
    waiting, seen = list(modules), set()
    names: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in known:
            continue
        seen.add(module)
        names.update(known[module]["names"].split())
        waiting += known[module]["uses"].split()
    return names


def _keys_of(path: str, value: Any, known: Collection[str], *, is_typed: bool = False) -> Mistakes:
    for key in value if isinstance(value, ConfigDict) and (is_typed or "type" not in value) else ():
        if key in known or key in MARKS:
            continue
        near = nearest(str(key), [*known, "_delete_"] if str(key).startswith("_") else list(known))
        yield Mistake(
            path=f"{path}.{key}",
            message=f"`{path}` has no key `{key}`",
            code="unknown-key",
            near=tuple(near),
            hints=() if near else (f"it has {_listed(known)}",),
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
