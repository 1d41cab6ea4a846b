"""The type tables of the installed packages: what a name may stand for in a scope, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mimctl.config.schema import COMPLETE_KINDS, ENGINE_KINDS, FILLED, MARKS, also_taken, expected_kinds
from mimctl.config.scopes import FALLBACK_SCOPES, SCOPE_ALIASES, canonical_scope
from mimctl.config.values import ConfigDict, LazyReference

USER_SCOPE = "user"
"""The scope of classes that no toolbox owns; it comes first where there is a table of it."""

Scopes = tuple[str, ...]
"""Scopes in the order in which a name is looked up, before those that every toolbox falls back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type that a name may stand for."""

    kind: str
    name: str
    scope: str
    params: Mapping[str, Mapping[str, Any]]
    extra: bool
    is_sure: bool = True
    """Whether no scope without a table comes before, which might have another type of that name."""
    module: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def unknown(self, config: Mapping[str, Any], path: str) -> list[str]:
        """Return the keys that this type takes no argument for."""
        if self.extra:
            return []
        also = also_taken(self.kind, path)
        return [key for key in config if key not in self.params and key not in MARKS and key not in also]

    def missing(self, config: Mapping[str, Any], path: str) -> list[str]:
        """Return the required arguments that neither the config nor a builder gives."""
        if self.kind not in COMPLETE_KINDS and not (self.kind == "model" and expected_kinds(path) == ("model",)):
            return []
        filled = FILLED.get(self.kind, frozenset())
        return [name for name, facts in self.params.items() if facts["required"] and not {name} & {*config, *filled}]

    def default(self, name: str) -> Any:
        """Return the default of a parameter where it is a number or a string, else None."""
        return self.params.get(name, {}).get("default")


class Tables:
    """The type tables by scope."""

    def __init__(self, tables: Sequence[Mapping[str, Any]]) -> None:
        self.kinds: dict[str, Mapping[str, Mapping[str, Any]]] = {each["scope"]: each["kinds"] for each in tables}
        self._held: dict[tuple[str, Scopes], list[Type]] = {}
        self.modules: dict[str, Mapping[str, str]] = {
            name: facts for each in tables for name, facts in each.get("modules", {}).items()
        }

    def order(self, scopes: Scopes) -> list[str]:
        """Return the scopes that a name is searched in, the nearest first."""
        user = [USER_SCOPE] if USER_SCOPE in self.kinds else []
        return list(dict.fromkeys([*user, *map(canonical_scope, scopes), *FALLBACK_SCOPES]))

    def is_toolbox(self, scope: str) -> bool:
        """Say whether a scope is that of a toolbox, installed or not, and not the name of somebody's package."""
        return scope in SCOPE_ALIASES or canonical_scope(scope) in {*self.kinds, *SCOPE_ALIASES.values()}

    def is_complete(self, scopes: Scopes) -> bool:
        """Say whether every scope that a name may come from has a table, so that a miss is a mistake."""
        return all(each in self.kinds for each in self.order(scopes))

    def find(self, name: str, scopes: Scopes) -> list[Type]:
        """Return what `name` may stand for: of each kind, the one in the nearest scope.

        Behind a scope without a table only kinds that toolboxes leave to the engine are sure.
        """
        if (name, scopes) not in self._held:
            self._held[name, scopes] = self._find(name, scopes)
        return self._held[name, scopes]

    def _find(self, name: str, scopes: Scopes) -> list[Type]:
        found: dict[str, Type] = {}
        is_sure = True
        for each in self.order(scopes):
            is_sure = is_sure and each in self.kinds
            for kind, names in self.kinds.get(each, {}).items():
                if name in names and kind not in found and (is_sure or kind in ENGINE_KINDS):
                    found[kind] = _type(kind, name, each, names[name], is_sure=is_sure)
        return list(found.values())

    def names(self, scopes: Scopes, kinds: tuple[str, ...] | None) -> set[str]:
        """Return all names of the given kinds (None: all)."""
        return {
            name
            for each in self.order(scopes)
            for kind, names in self.kinds.get(each, {}).items()
            if kinds is None or kind in kinds
            for name in names
        }

    def scopes_with(self, name: str) -> Iterator[str]:
        """Yield the scopes that have a name, of whatever kind."""
        for scope, kinds in self.kinds.items():
            if any(name in held for held in kinds.values()):
                yield scope


def _type(kind: str, name: str, scope: str, entry: Mapping[str, Any], *, is_sure: bool) -> Type:
    return Type(
        kind=kind,
        name=name,
        scope=scope,
        params=entry["params"],
        extra=entry["extra"],
        is_sure=is_sure,
        module=entry.get("module", ""),
        facts=entry,
    )


def _registered_name(reference: LazyReference) -> str:
    """Return `scope.Name` of an imported class: our packages are called after their scopes."""
    parts = reference.module.split(".")
    top = parts[1] if parts[0] == "mimctl" and len(parts) > 1 else parts[0].removeprefix("mimctl_")
    return f"{top}.{reference.type_name.partition('.')[2]}"


def split_type(value: ConfigDict, scopes: Scopes) -> tuple[str | None, Scopes]:
    """Return the plain name of a dict's `type` and the scopes to search it in."""
    held = value.get("type")
    name = _registered_name(held) if isinstance(held, LazyReference) else held
    if not isinstance(name, str) or not name:
        return None, scopes
    head, dot, rest = name.partition(".")
    if head == "torch":
        head = "engine"  # which registers torch's own classes
    return (rest, (head,)) if dot else (name, scopes)
