"""Short names of weights in configs (`torchvision://resnet50`): the address each stands for, from a table shipped here.

The names are MMEngine's, so that a config means the same file. Nothing is fetched and torchvision is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mimctl.errors import ConfigError, Origin, did_you_mean, nearest

SCHEMA_VERSION = 1
FILE = Path(__file__).with_name("weight_names.json")

SCHEMES = {
    "torchvision": "torchvision",
    "modelzoo": "torchvision",
    "open-mmlab": "open-mmlab",
    "openmmlab": "open-mmlab",
    "mmcls": "mmcls",
}
"""Scheme → the list of names that it means; MMEngine has two spellings of two of them."""

FETCHED = ("https", "http", "hf", "s3", "gs")
"""Schemes of whole addresses: servers, the Hugging Face Hub, object stores."""

BACKBONE_OF = "mmcls://"
"""Names of whole classifiers of which a config means the backbone alone: keys below `backbone.`, without it."""


class NamedWeights(NamedTuple):
    """What a short name stands for: an address, and what is known of the bytes beside the file's name."""

    name: str
    url: str
    hash: str | None = None
    """The first digits of the SHA-256, or all of it, where the file's name carries none or a wrong one."""


def is_short_name(text: object) -> bool:
    """Return whether a config value is a short name, known or not: its scheme has a list of names."""
    return isinstance(text, str) and text.partition("://")[0] in SCHEMES and "://" in text


def is_whole_address(text: object) -> bool:
    """Return whether a config value is the address of a file on another machine, and no name that stands for one."""
    return isinstance(text, str) and "://" in text and text.partition("://")[0].lower() in FETCHED


def find_named(text: str, *, origin: Origin | None = None) -> NamedWeights:
    """Return what a short name stands for; raise ConfigError[unknown-weights-address] with the nearest names.

    `origin` is the place of the name in a config, for the message.
    """
    scheme, _, name = text.partition("://")
    listed = SCHEMES.get(scheme)
    if listed is None:
        raise _unknown_scheme(text, scheme, origin)
    table = _table()
    names: Mapping[str, str] = table["names"][listed]
    name = table["renamed"].get(listed, {}).get(name, name)
    url = names.get(name)
    if url is None:
        raise _unknown_name(text, scheme, name, names, origin)
    return NamedWeights(name=text, url=url, hash=known_hash(url))


def known_hash(url: str) -> str | None:
    """Return digits of the SHA-256 of published weights whose file name carries no hash, or that of other bytes."""
    found: str | None = _table()["hashes"].get(url)
    return found


def all_names() -> Iterator[str]:
    """Yield every short name, the old spellings left out."""
    for scheme, names in _table()["names"].items():
        yield from (f"{scheme}://{name}" for name in names)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return table


def _unknown_name(text: str, scheme: str, name: str, names: Mapping[str, str], origin: Origin | None) -> ConfigError:
    near = [each for each in all_names() if each.partition("://")[2].rpartition("/")[2] == name]
    near = near or [f"{scheme}://{each}" for each in nearest(name, set(names))]
    return ConfigError(
        f"no published weights go by the name `{text}`",
        code="unknown-weights-address",
        causes=[f"`{scheme}://` has {len(names)} names"],
        hints=did_you_mean(near) or ["name the file's `https://` address or its path instead"],
        origin=origin,
    )


def _unknown_scheme(text: str, scheme: str, origin: Origin | None) -> ConfigError:
    near = nearest(scheme, set(SCHEMES), most=1)
    fetched = ", ".join(f"`{each}://`" for each in (*FETCHED, "file", *SCHEMES))
    return ConfigError(
        f"the weights `{text}` have no address that can be fetched",
        code="unknown-weights-address",
        causes=[f"`{scheme}://` is none of {fetched}"],
        hints=[f"did you mean `{near[0]}://`?"]
        if near
        else ["download the file and name its path, or its `https://` address, in the config"],
        origin=origin,
    )
