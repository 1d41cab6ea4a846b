"""Facts about an environment as JSON data, both ways: what `mimctl env --json` prints can be read again elsewhere."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from mimctl.environment.installed import Fact
from mimctl.environment.model import Environment
from mimctl.environment.platforms import platform_tags

FACTS = (
    "python",
    "abi",
    "platform",
    "libc",
    "tags",
    "torch",
    "torch_origin",
    "accelerator",
    "gpus",
    "visible_gpus",
    "cuda_toolkit",
    "rocm",
    "ops",
    "ops_tier",
    "cv2",
    "slurm",
    "container",
    "wsl",
    "pip",
    "uv",
    "indexes",
)
"""The names of the facts, in the order in which they are shown."""


_Tags = dict[str, Any]


def facts_of(env: Environment) -> Mapping[str, Fact[Any]]:
    """Return the facts by name, with the wheel tags that follow from them."""
    platforms = tuple(platform_tags(env.platform.value, env.libc.value))
    major, minor = env.python_release
    tags = {"python": f"cp{major}{minor}", "abi": env.abi.value, "platforms": (*platforms, "any")}
    facts: dict[str, Fact[Any]] = {"tags": Fact(value=tags, source="python, abi, platform and libc above")}
    return {name: facts.get(name) or getattr(env, name) for name in FACTS}


def to_plain(env: Environment) -> dict[str, Any]:
    """Return the target and all facts as JSON data."""
    facts = {name: {"value": plain(fact.value), "source": fact.source} for name, fact in facts_of(env).items()}
    return {"target": plain(env.target), "facts": facts}


def plain(value: Any) -> Any:
    """Return dataclasses, tuples and paths as JSON data."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def read_facts(data: object) -> dict[str, Fact[Any]]:
    """Return the facts that `to_plain` wrote; names that are not known are left out.

    Raises ValueError where a fact is not of its kind.
    """
    if not isinstance(data, Mapping):
        raise ValueError("the facts are no table")
    hints: dict[str, Any] = {**typing.get_type_hints(Environment), "tags": Fact[_Tags]}
    return {name: _fact(name, data[name], hints[name]) for name in FACTS if name in data}


def _fact(name: str, data: object, hint: Any) -> Fact[Any]:
    if not isinstance(data, Mapping) or "value" not in data or not isinstance(data.get("source"), str):
        raise ValueError(f"`{name}` has no value and source")
    try:
        return Fact(value=_read(typing.get_args(hint)[0], data["value"]), source=data["source"])
    except (ValueError, TypeError) as err:
        raise ValueError(f"`{name}`: {err}") from err


def _read(hint: Any, value: Any) -> Any:
    """Return JSON data as what a type hint says."""
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        return None if value is None else _read(arguments[0], value)
    if kind is typing.Literal:
        return _checked(value, value in arguments, f"one of {', '.join(map(str, arguments))}")
    if kind is tuple:
        _checked(value, isinstance(value, list), "a list")
        inner = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_read(each, item) for each, item in zip(inner, value, strict=True))
    if is_dataclass(hint):
        return _dataclass(hint, _checked(value, isinstance(value, Mapping), "a table"))
    if hint is Path:
        return Path(_checked(value, isinstance(value, str), "a path"))
    return _checked(value, type(value) is (kind or hint), f"of the kind {hint.__name__}")


def _dataclass(kind: Any, data: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    lacking = [each.name for each in fields(kind) if each.name not in data and each.default is MISSING]
    if lacking:
        raise ValueError(f"`{lacking[0]}` is missing")
    return kind(**{each.name: _read(hints[each.name], data[each.name]) for each in fields(kind) if each.name in data})


def _checked(value: Any, is_right: bool, wanted: str) -> Any:
    if not is_right:
        raise ValueError(f"{value!r} is not {wanted}")
    return value
