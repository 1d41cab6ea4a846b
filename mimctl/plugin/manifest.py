"""The manifest `plugin.toml` of a toolbox: what it is called, which verbs and configs it offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError, Origin

SCHEMA_VERSION = 1
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The static facts of one toolbox. `verbs` maps a verb to `module:function`, called in the child."""

    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    requires_ops: bool = False
    verbs: Mapping[str, str] = field(default_factory=dict)
    configs_root: str = "configs"
    families: tuple[tuple[str, str], ...] = ()
    """(family name, glob of its configs below the root)."""


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; raise MimctlError[broken-plugin] naming the file and what is wrong."""
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise _broken(path, "it is missing") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise _broken(path, f"not valid TOML: {err}") from err
    return parse_manifest(data, path)


def parse_manifest(data: Mapping[str, Any], path: Path) -> Manifest:
    """Turn the raw tables of `plugin.toml` into a Manifest (pure); `path` is for messages alone."""
    if data.get("schema_version") != SCHEMA_VERSION:
        found = data.get("schema_version")
        raise _broken(path, f"it has schema version {found!r}, this mimctl reads {SCHEMA_VERSION}")
    verbs = data.get("verbs", {})
    for verb, entry in verbs.items():
        if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
            raise _broken(path, f"verb `{verb}` wants `module:function`, got {entry!r}")
    return Manifest(
        name=_text(data, "name", path),
        summary=_text(data, "summary", path),
        aliases=_texts(data, "aliases", path),
        scopes=_texts(data, "scopes", path),
        requires_ops=data.get("requires_ops", False) is True,
        verbs=dict(verbs),
        configs_root=str(data.get("configs", {}).get("root", "configs")),
        families=tuple((str(each["name"]), str(each["configs"])) for each in data.get("families", ())),
    )


def _text(data: Mapping[str, Any], key: str, path: Path) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise _broken(path, f"`{key}` wants a text, got {value!r}")
    return value


def _texts(data: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _broken(path, f"`{key}` wants a list of texts, got {value!r}")
    return tuple(value)


def _broken(path: Path, reason: str) -> MimctlError:
    return MimctlError(f"manifest: {reason}", code="broken-plugin", origin=Origin(file=str(path)))
