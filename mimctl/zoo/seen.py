"""Names of the zoo's models as they were last seen: for shells that complete words, which ask no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mimctl.index.cache import DocumentCache


def names_seen(addresses: Sequence[str], cache_dir: Path, plugin: str = "") -> Iterator[str]:
    """Yield the names of models that can be built, of one toolbox or of all; what cannot be read holds none."""
    cache = DocumentCache(cache_dir / "index")
    for address in addresses:
        root = address.strip().removesuffix("/index.json").rstrip("/")
        if "://" in root and not root.startswith("file://"):
            kept = cache.read(f"{root}/zoo/{plugin}.json") if plugin else None
            bodies = [kept.body] if kept is not None and kept.body is not None else []
        else:
            folder = Path(root.removeprefix("file://")).expanduser() / "zoo"
            bodies = [_read(path) for path in sorted(folder.glob(f"{plugin or '*'}.json"))]
        for body in bodies:
            yield from _names(body)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _names(body: bytes) -> Iterator[str]:
    try:
        models: Any = json.loads(body)["models"]
        yield from (str(each["name"]) for each in models if each.get("buildable") is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
