"""Types and scopes: names that no registry has, of another kind than the place needs, or missing."""

from __future__ import annotations

from typing import Any

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.spelling import slips
from mimctl.config.schema import NAMED_TYPES, NEEDS_TYPE, NOT_TYPES, RUNNER_KEYS, expected_kinds
from mimctl.config.scopes import SCOPE_ALIASES
from mimctl.errors import nearest


def find_wrong_types(case: Case) -> Mistakes:
    """Yield types that nobody knows, types of another kind than their place needs, and dicts that lack a type."""
    for part in case.parts:
        if part.name is None:
            yield from _untyped(part)
        elif not part.found:
            if case.tables.is_complete(part.scopes) and not case.is_open and not part.has_default_type:
                yield _unknown(case, part, part.name)
        elif not part.wanted and not case.is_open:
            message = (
                f"`{part.name}` is a {part.found[0].kind}, and `{part.path}` needs a {' or '.join(part.kinds or ())}"
            )
            near = nearest(part.name, case.tables.names(part.scopes, part.kinds))
            yield Mistake(path=f"{part.path}.type", message=message, code="unknown-type", near=tuple(near))


def find_bare_names(case: Case) -> Mistakes:
    """Yield names that stand alone where a dict with a type belongs: `backbone='ResNet'`."""
    given = [(key, case.config[key]) for key in case.config if key in RUNNER_KEYS]
    for path, value in case.dicts:
        holder = case.by_path.get(path)
        is_free = holder is not None and holder.kinds is not None and holder.kinds[0] in _FREE
        if path.rpartition(".")[2] not in NOT_TYPES and not is_free:
            given += [(f"{path}.{key}", item) for key, item in value.items() if key not in _NAMES_ALLOWED]
    for path, item in given:
        for place, name in [(path, item)] if isinstance(item, str) else _texts(item, path):
            if name and expected_kinds(place) is not None:
                message = f"`{place}` is the text {name!r}, and takes a dict"
                hints = (f"write `dict(type={name!r})`",)
                yield Mistake(path=place, message=message, code="bad-value", hints=hints)


def _texts(value: Any, path: str) -> list[tuple[str, str]]:
    items = value if isinstance(value, (list, tuple)) else ()
    return [(f"{path}.{index}", each) for index, each in enumerate(items) if isinstance(each, str)]


_FREE = frozenset({"transform", "metric", "hook"})
"""Kinds whose arguments may mean anything by `dataset` or `backbone`."""

_NAMES_ALLOWED = frozenset({"type", "constructor"})


def find_unknown_names(case: Case) -> Mistakes:
    """Yield names of types that stand where no dict is: an optimizer's constructor, the kind of moving average."""
    for path, value in case.dicts:
        for key in value:
            kind = NAMED_TYPES.get(f"{path}.{key}", NAMED_TYPES.get(str(key)))
            name = value[key]
            if kind is None or not isinstance(name, str) or case.is_open:
                continue
            head, dot, rest = name.partition(".")
            scopes = (head,) if dot else case.default_scopes
            plain = rest if dot else name
            known = case.tables.names(scopes, (kind,))
            if plain not in known and case.tables.is_complete(scopes):
                message = f"unknown {kind} `{name}` at `{path}.{key}`"
                near = tuple(nearest(plain, known))
                yield Mistake(path=f"{path}.{key}", message=message, code="unknown-type", near=near)


def find_unknown_scopes(case: Case) -> Mistakes:
    """Yield scopes that look like one that exists, in `default_scope`, `_scope_` and before the dot of a type."""
    known = {*case.tables.kinds, *SCOPE_ALIASES, *SCOPE_ALIASES.values()}
    given = [("default_scope", case.config.get("default_scope"))]
    given += [(f"{path}._scope_", value["_scope_"]) for path, value in case.dicts if "_scope_" in value]
    given += [(f"{each.path}.type", each.scopes[0]) for each in case.parts if _has_head(each)]
    for path, scope in given:
        if not isinstance(scope, str) or not scope or scope in known:
            continue
        near = slips(scope, known)
        if near or (path == "default_scope" and not case.is_open):
            message = f"no toolbox has the scope `{scope}`"
            hints = () if near else (f"scopes known here: {', '.join(sorted(case.tables.kinds))}",)
            yield Mistake(path=path, message=message, code="unknown-scope", near=tuple(near[:1]), hints=hints)


def _has_head(part: Part) -> bool:
    held = part.value.get("type")
    return isinstance(held, str) and "." in held


def _untyped(part: Part) -> Mistakes:
    kinds = part.kinds
    if kinds and kinds[0] in NEEDS_TYPE and part.value and part.path not in RUNNER_KEYS - {"param_scheduler"}:
        if "type" in part.value:
            yield Mistake(
                path=f"{part.path}.type",
                message=f"the `type` of `{part.path}` is {part.value['type']!r}, and no name",
                code="unknown-type",
            )
        elif not part.path.startswith("default_hooks.") and not _is_by_optimizer(part):
            first = next(iter(part.value))
            yield Mistake(path=f"{part.path}.{first}", message=f"`{part.path}` needs a `type`", code="missing-type")


def _is_by_optimizer(part: Part) -> bool:
    """Return whether schedulers are given for several optimizers, under the names of these."""
    return part.path == "param_scheduler" and all(isinstance(each, (list, tuple, dict)) for each in part.value.values())


def _unknown(case: Case, part: Part, name: str) -> Mistake:
    near = nearest(name, case.tables.names(part.scopes, part.kinds))
    what = " or ".join(part.kinds) if part.kinds else "type"
    elsewhere = list(case.tables.scopes_with(name))
    hints = [f"`{each}` has it: set `default_scope = '{each}'`, or write `{each}.{name}`" for each in elsewhere]
    return Mistake(
        path=f"{part.path}.type",
        message=f"unknown {what} `{name}` at `{part.path}`",
        code="unknown-type",
        causes=(f"searched the scopes {', '.join(case.tables.order(part.scopes))}",),
        near=() if elsewhere else tuple(near),
        hints=tuple(hints),
    )
