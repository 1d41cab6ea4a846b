"""What the ranks of a job have written of their failures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def first_error(folder: Path) -> Mapping[str, Any] | None:
    """Return the error that was written first, with its rank; None where no rank has told one.

    What others say after it is mostly that a peer has gone.
    """
    written = sorted(folder.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in written:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict):
            return {**told, "event": "error"}
    return None
