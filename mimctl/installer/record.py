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
    """The torch that was there, our distributions with their versions, and what their index said of torch."""

    torch: str
    distributions: Mapping[str, str] = field(default_factory=dict)
    verified: str | None = None
    """Newest torch that the index was verified with."""


def note_installation(env: Environment, verified: str | None = None) -> None:
    """Note what is in the environment now; without any of our distributions the record goes.

    `env` may have been read before the change: the folders are looked at anew. Where no index said which torch is the
    newest `verified`, what was noted of that stays.
    """
    path = env.paths.purelib.parent / NAME
    there = scan(env.paths.search)
    torch = find_torch(env.paths.search, there.get("torch")).value
    ours = {name: each.version for name, each in sorted(there.items()) if is_own(name)}
    with contextlib.suppress(OSError):  # a warning less, later
        if torch is None or not ours:
            path.unlink(missing_ok=True)
            return
        before = read_record(env.paths.search) if verified is None else None
        verified = before.verified if before is not None else verified
        document = {"schema_version": _SCHEMA_VERSION, "torch": torch.version, "distributions": ours}
        document |= {"verified": verified} if verified is not None else {}
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
                verified = document.get("verified")
                return Record(
                    torch=str(document["torch"]),
                    distributions=versions,
                    verified=verified if isinstance(verified, str) else None,
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
