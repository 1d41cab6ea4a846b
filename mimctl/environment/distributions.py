"""The distributions that are installed, read by scanning folders: far cheaper than `importlib.metadata`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mimctl.environment.installed import Distribution


def normalise(name: str) -> str:
    """Return the normalised form of a distribution's name (PEP 503): `Mimctl_Det` → `mimctl-det`."""
    words = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(word for word in words if word)


def scan(search: Iterable[Path]) -> dict[str, Distribution]:
    """Return the distributions in the folders of a module search path by name; the first one found wins, as it does
    for Python."""
    found: dict[str, Distribution] = {}
    for each in scan_all(search):
        found.setdefault(each.name, each)
    return found


def scan_all(search: Iterable[Path]) -> Iterator[Distribution]:
    """Yield every distribution, those too that another one of the same name hides: half an upgrade leaves two."""
    for folder in search:
        try:
            # A Path for each of thousands of names would be most of the time this takes.
            names = sorted(os.listdir(folder))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            each = _parse(folder, name)
            if each is not None:
                yield each


def _parse(folder: Path, name: str) -> Distribution | None:
    stem, dot, suffix = name.rpartition(".")
    if not dot or suffix not in ("dist-info", "egg-info") or name.startswith(("~", ".")):
        return None
    words = stem.split("-")
    if len(words) < 2 or not words[1]:
        return None
    return Distribution(name=normalise(words[0]), version=words[1], path=folder / name)


def read_metadata(distribution: Distribution) -> dict[str, list[str]]:
    """Return the header fields of a distribution's METADATA by lower-case name; empty where it cannot be read."""
    from email.parser import HeaderParser

    for name in ("METADATA", "PKG-INFO"):
        try:
            text = (distribution.path / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields: dict[str, list[str]] = {}
        for key, value in HeaderParser().parsestr(text).items():
            fields.setdefault(key.lower(), []).append(value)
        return fields
    return {}


def read_direct_url(distribution: Distribution) -> dict[str, Any]:
    """Return the distribution's `direct_url.json` (PEP 610), empty where it has none."""
    try:
        data = json.loads((distribution.path / "direct_url.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def wheel_tags(distribution: Distribution | None) -> tuple[str, ...]:
    """Return the tags of the wheel that a distribution was installed from, as its WHEEL file has them."""
    if distribution is None:
        return ()
    try:
        lines = (distribution.path / "WHEEL").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(line.partition(":")[2].strip() for line in lines if line.lower().startswith("tag:"))


def archive_sha256(distribution: Distribution) -> str | None:
    """Return the recorded hash of the archive that a distribution was installed from.

    pip writes it to `archive_info` (PEP 610), uv keeps it in the fragment of the address.
    """
    data = read_direct_url(distribution)
    info = data.get("archive_info")
    if not isinstance(info, dict):
        return None
    hashes = info.get("hashes")
    if isinstance(hashes, dict) and isinstance(hashes.get("sha256"), str):
        return str(hashes["sha256"])
    for text, mark in ((info.get("hash"), "sha256="), (data.get("url"), "#sha256=")):
        if isinstance(text, str) and mark in text:
            return text.rpartition(mark)[2].partition("&")[0]
    return None


def is_from_source(distribution: Distribution) -> bool:
    """Return whether a distribution was installed from a folder or a repository (editable ones too)."""
    data = read_direct_url(distribution)
    return "dir_info" in data or "vcs_info" in data
