"""What came from an address when it was first asked: its hash is remembered, and asked for ever after."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mimctl.transfer import write_file

_FOLDER = "by-url"
"""No cache, though it lies there: what removes files from caches leaves it alone."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Where it is written down what came from one address."""

    path: Path

    @property
    def facts(self) -> dict[str, object]:
        """Return what is written down; nothing where that is not there or damaged."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def sha256(self) -> str | None:
        """Return what the file hashed to, None where it never came."""
        found = self.facts.get("sha256")
        return found if isinstance(found, str) else None

    def write(self, **facts: object) -> None:
        """Write down `sha256` and further facts."""
        write_file(self.path, (json.dumps(facts) + "\n").encode())


def pin_of(address: str, folder: Path) -> Pin:
    """Return the pin of an address in the part `folder` of the cache; its name tells no secret of the address."""
    return Pin(folder / _FOLDER / f"{hashlib.sha256(address.encode()).hexdigest()}.json")
