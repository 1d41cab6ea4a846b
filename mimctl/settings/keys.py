"""Which settings there are: how each one is read, what it is for, who may set it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.errors import ConfigError, Origin, UsageError, nearest
from mimctl.settings.clusters import CLUSTER_KEYS, read_clusters
from mimctl.settings.values import (
    Key,
    read_addresses,
    read_choice,
    read_flag,
    read_interpreter,
    read_mapping,
    read_number,
    read_path,
    read_text,
)

KEYS: Mapping[str, Key] = {
    "index": Key(
        read=read_addresses,
        variable="MIMCTL_INDEX_URL",
        meaning="addresses of mimctl indexes (URL, file:// or folder); several are separated by blanks",
        many=True,
    ),
    "torch_index": Key(
        read=read_text,
        variable="MIMCTL_TORCH_INDEX",
        meaning="where torch comes from when pip's own configuration does not offer the wanted build",
    ),
    "mirrors": Key(read=read_mapping, meaning="host → address that stands for it when models are downloaded"),
    "cache_dir": Key(read=read_path, variable="MIMCTL_CACHE_DIR", meaning="where downloads and index pages are kept"),
    "shared_cache": Key(
        read=read_path,
        variable="MIMCTL_SHARED_CACHE",
        meaning="a folder in which several users keep downloads; each file is hashed and copied before it is used",
    ),
    "home": Key(read=read_path, variable="MIMCTL_HOME", meaning="the folder of the user's config.toml"),
    "offline": Key(
        read=read_flag, variable="MIMCTL_OFFLINE", meaning="use caches only, never the network", is_harmless=True
    ),
    "python": Key(
        read=read_interpreter, variable="MIMCTL_PYTHON", meaning="the interpreter to install into and to run with"
    ),
    "color": Key(
        read=read_choice("auto", "always", "never"), meaning="colour: auto, always or never", is_harmless=True
    ),
    "installer": Key(
        read=read_choice("auto", "pip", "uv"), meaning="which installer makes the changes", is_harmless=True
    ),
    "index_strategy": Key(
        read=read_choice("first", "best"),
        variable="MIMCTL_INDEX_STRATEGY",
        meaning="`first`: a project comes from the first of pip's and uv's indexes that has it; `best`: from all",
    ),
    "compile_bytecode": Key(
        read=read_flag,
        variable="MIMCTL_COMPILE_BYTECODE",
        meaning="compile modules while they are installed, for environments that their users cannot write to",
        is_harmless=True,
    ),
    "clusters": Key(
        read=read_clusters,
        meaning="what jobs of a Slurm cluster ask for where nothing is typed: `clusters.NAME.partition` and the like",
    ),
    "http_timeout_s": Key(
        read=read_number(float, 0.1), meaning="seconds without a byte before a transfer is retried", is_harmless=True
    ),
    "http_retries": Key(
        read=read_number(int, 0), meaning="how often a failed transfer is tried again", is_harmless=True
    ),
    "http_connections": Key(
        read=read_number(int, 1),
        meaning="most connections at once for pieces of big files; 1: one for each file",
        is_harmless=True,
    ),
}


def known(name: str) -> str:
    """Return a setting's name, `clusters.NAME.KEY` among them; raise UsageError[settings] with the nearest."""
    first, _, rest = name.partition(".")
    if first not in KEYS:
        raise _unknown(name, name, set(KEYS))
    last = rest.partition(".")[2]
    if first == "clusters" and last and last not in CLUSTER_KEYS:
        raise _unknown(name, last, set(CLUSTER_KEYS))
    return name


def _unknown(name: str, word: str, words: set[str]) -> UsageError:
    near = nearest(word, words)
    hints = (
        [f"did you mean `{name.removesuffix(word)}{near[0]}`?"] if near else [f"there are {', '.join(sorted(words))}"]
    )
    return UsageError(f"there is no setting `{name}`", code="settings", hints=hints)


def key_of(name: str) -> Key:
    """Return what is known of the setting `name`, which exists."""
    parts = name.split(".")
    return CLUSTER_KEYS[parts[2]] if parts[0] == "clusters" and len(parts) == 3 else KEYS[parts[0]]


def read_value(name: str, value: Any, folder: Path, origin: Origin, kind: type[ConfigError] | type[UsageError]) -> Any:
    """Return a setting's value as it is used; raise `kind` [settings] where it is of the wrong kind."""
    try:
        return key_of(name).read(value, folder)
    except (ValueError, TypeError) as err:
        raise kind(f"setting `{name}` {err}, got {value!r}", code="settings", origin=origin) from err
