"""The events of a run, as the process that starts it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimctl.launch.processes.growing import GrowingFile


class EventReader:
    """Read the JSON lines that another process appends to a file, only whole ones, from byte `skip` on."""

    def __init__(self, path: Path | None, *, skip: int = 0) -> None:
        self._file = GrowingFile(path, skip=skip) if path is not None else None

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events that came since the last call."""
        for line in self._file.lines() if self._file is not None else ():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a line torn by a full disk; the exit code tells the rest
            if isinstance(event, dict):
                yield event
