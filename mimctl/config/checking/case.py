"""One config to be checked: its typed parts with what their names stand for, found once for all rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mimctl.config.checking.tables import Scopes, Tables, Type, split_type
from mimctl.config.config import Config
from mimctl.config.schema import DEFAULT_TYPES, NOT_TYPES, RUNNER_KEYS, expected_kinds
from mimctl.config.values import ConfigDict

UNKNOWN_SCOPE = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A dict that a run builds something from. `name` is None where it has no type, said or by default."""

    path: str
    value: ConfigDict
    name: str | None
    scopes: Scopes
    kinds: tuple[str, ...] | None
    """The kinds that may stand at its place, None where any may."""
    found: tuple[Type, ...]
    """What the name may stand for."""
    wanted: tuple[Type, ...]
    """What of it may stand at this place."""

    @property
    def type(self) -> Type | None:
        """Return what is built, None where that is not sure."""
        return self.wanted[0] if len(self.wanted) == 1 else None

    @property
    def has_default_type(self) -> bool:
        """Say whether the builder chooses the type."""
        return "type" not in self.value


class Case:
    """A config, the tables it is held against, and its parts in the order in which they stand.

    `is_open`: modules that a config imports may bring types of their own, which no table here knows.
    """

    def __init__(self, config: Config, tables: Tables, *, is_open: bool) -> None:
        self.config = config
        self.tables = tables
        self.is_open = is_open

    @property
    def is_whole(self) -> bool:
        """Say whether this is a config that can be run, and not a file that others are built on."""
        return "model" in self.config

    @property
    def default_scopes(self) -> Scopes:
        """Return the scopes of names without one. What is no whole config may be meant for any toolbox."""
        scope = self.config.get("default_scope")
        if isinstance(scope, str) and scope:
            return (scope,)
        return () if self.is_whole else (UNKNOWN_SCOPE,)

    @cached_property
    def parts(self) -> list[Part]:
        """Return every dict with a type, said or by default, that a run reads."""
        scopes = self.default_scopes
        keys = [key for key in self.config if key in RUNNER_KEYS]
        return [each for key in keys for each in self._parts(self.config[key], key, scopes)]

    @cached_property
    def by_path(self) -> dict[str, Part]:
        """Return the parts by their dotted paths."""
        return {each.path: each for each in self.parts}

    def below(self, path: str) -> Iterator[Part]:
        """Yield the part at a path and those inside it."""
        for each in self.parts:
            if each.path == path or each.path.startswith(f"{path}."):
                yield each

    @cached_property
    def dicts(self) -> list[tuple[str, ConfigDict]]:
        """Return every dict that a run reads, with its path."""
        return [each for key in self.config if key in RUNNER_KEYS for each in _dicts(self.config[key], key)]

    def _parts(self, value: Any, path: str, scopes: Scopes) -> Iterator[Part]:
        if isinstance(value, ConfigDict):
            own = value.get("_scope_")
            scopes = (own, *scopes) if isinstance(own, str) else scopes
            is_typed = path.rpartition(".")[2] not in NOT_TYPES
            if is_typed:
                yield self.part(value, path, scopes)
            head = split_type(value, ())[1] if is_typed else ()
            inner = (*scopes, *(each for each in head if self.tables.is_toolbox(each)))
            for key, item in value.items():
                if isinstance(item, (ConfigDict, list, tuple)):
                    yield from self._parts(item, f"{path}.{key}", inner)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                if isinstance(item, (ConfigDict, list, tuple)):
                    yield from self._parts(item, f"{path}.{index}", scopes)

    def part(self, value: ConfigDict, path: str, scopes: Scopes) -> Part:
        """Return a dict as a part of the run."""
        name, inner = split_type(value, scopes)
        if name is None and "type" not in value:
            name = _default_type(value, path)
        kinds = expected_kinds(path)
        found = tuple(self.tables.find(name, inner)) if name else ()
        wanted = found if kinds is None else tuple(each for each in found if each.kind in kinds)
        return Part(path=path, value=value, name=name, scopes=inner, kinds=kinds, found=found, wanted=wanted)


def _default_type(value: Mapping[str, Any], path: str) -> str | None:
    """Return the type that a builder takes where a dict names none."""
    if path == "train_cfg":
        by_epoch = value.get("by_epoch", "max_epochs" in value or "max_iters" not in value)
        return "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
    if path == "optim_wrapper" and "constructor" in value:
        return None
    return DEFAULT_TYPES.get(path)


def _dicts(value: Any, path: str) -> Iterator[tuple[str, ConfigDict]]:
    if isinstance(value, ConfigDict):
        yield path, value
        for key, item in value.items():
            if isinstance(item, (ConfigDict, list, tuple)):
                yield from _dicts(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, (ConfigDict, list, tuple)):
                yield from _dicts(item, f"{path}.{index}")
