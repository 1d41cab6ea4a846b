"""What was seen of a cluster's nodes, kept in the user's home: one file for each partition of each cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.environment.elsewhere import Elsewhere, read_elsewhere
from mimctl.errors import MimctlError
from mimctl.files import write_text


def write_known(folder: Path, cluster: str, partition: str, document: Mapping[str, Any]) -> Path:
    """Keep what was seen of a partition's node, in the place of what was seen before; return the file."""
    path = _path(folder, cluster, partition)
    write_text(path, json.dumps(document, indent=1) + "\n", mode=0o666)
    return path


def read_known(folder: Path, cluster: str, partition: str) -> Elsewhere | None:
    """Return what was seen of a partition's nodes last; None where nothing was, or it cannot be read any more."""
    try:
        text = _path(folder, cluster, partition).read_text(encoding="utf-8")
        return read_elsewhere(text, name=f"partition `{partition}`")
    except (OSError, UnicodeDecodeError, MimctlError):
        return None


def _path(folder: Path, cluster: str, partition: str) -> Path:
    return folder / _word(cluster) / f"{_word(partition)}.json"


def _word(name: str) -> str:
    """Return a name of Slurm's as the name of a file: different ones stay different."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f"%{ord(match[0]):02x}", name)
