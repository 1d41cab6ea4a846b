"""What an environment was when mimctl last changed it, so that a torch replaced behind its back is seen.

A small file beside `site-packages`; nothing depends on it, and whoever removes it loses that one warning.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.environment.distributions import scan
from mimctl.environment.torch import find_torch
from mimctl.resolution.names import is_own

if TYPE_CHECKING:
    from mimctl.environment.model import Environment

NAME = ".mimctl-installed.json"
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The torch that was there, and our distributions with their versions."""

    torch: str
    distributions: Mapping[str, str] = field(default_factory=dict)


def note_installation(env: Environment) -> None:
    """Note what is in the environment now; without any of our distributions the record goes.

    `env` may have been read before the change: the folders are looked at anew.
    """
    path = env.paths.purelib.parent / NAME
    there = scan(env.paths.search)
    torch = find_torch(env.paths.search, there.get("torch")).value
    ours = {name: each.version for name, each in sorted(there.items()) if is_own(name)}
    with contextlib.suppress(OSError):  # a warning less, later
        if torch is None or not ours:
            path.unlink(missing_ok=True)
            return
        document = {"schema_version": _SCHEMA_VERSION, "torch": torch.version, "distributions": ours}
        temporary = path.with_name(f"{NAME}.{os.getpid()}")
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)


def read_record(search: Iterable[Path]) -> Record | None:
    """Return what was noted for the environment of a module search path, None where nothing was or can be read."""
    for folder in search:
        if folder.name not in ("site-packages", "dist-packages"):
            continue
        try:
            document = json.loads((folder.parent / NAME).read_text(encoding="utf-8"))
            if document["schema_version"] == _SCHEMA_VERSION:
                versions = {str(name): str(version) for name, version in document["distributions"].items()}
                return Record(torch=str(document["torch"]), distributions=versions)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
