"""Values of a JSON document, each of the kind that is documented, or MimctlError[bad-index] that names the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from mimctl.errors import MimctlError

T = TypeVar("T")


def parse_json(body: bytes, shown: str) -> Any:
    """Return a JSON document; raise MimctlError[bad-index] where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as err:
        raise bad_index(shown, f"it is not JSON: {err}") from err


def bad_index(address: str, cause: str) -> MimctlError:
    """Return the error for an index that does not hold what an index holds."""
    return MimctlError(
        f"`{address}` is not a usable mimctl index",
        code="bad-index",
        causes=[cause],
        hints=["build it again: `mimctl index build --wheels DIR --out DIR`", "or name another: `--index ADDRESS`"],
    )


def as_object(raw: object, what: str, address: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(raw, dict):
        raise bad_index(address, f"{what} is not a JSON object")
    return raw


def take(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T:
    """Return the value of a key that must be there."""
    value = entry.get(key)
    if not isinstance(value, kind):
        raise bad_index(address, f"`{key}` is missing or no {_KIND_WORDS[kind]}")
    return value


def optional(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T | None:
    """Return the value of a key that may be absent or null."""
    return None if entry.get(key) is None else take(entry, key, kind, address)


def texts(entry: Mapping[str, Any], key: str, address: str) -> tuple[str, ...]:
    """Return a list of texts, which may be absent."""
    values = entry.get(key)
    if not values:
        return ()
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise bad_index(address, f"`{key}` is not a list of texts")
    return tuple(values)


_KIND_WORDS: Mapping[type, str] = {str: "text", int: "number", list: "list", dict: "JSON object"}
