"""Progress events: JSON lines that the child appends and the command line draws."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from mimctl.spec import RunSpec


class EventWriter:
    """Append events to a file, one JSON object a line; without a file every call is a no-op.

    A line is written whole and flushed, so that a reader never sees a half of one after its newline.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stream: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a", encoding="utf-8")

    @property
    def is_on(self) -> bool:
        """Return whether events are written anywhere."""
        return self._stream is not None

    def emit(self, event: str, **data: Any) -> None:
        """Write one event; numbers that JSON does not know (nan, inf) become null."""
        if self._stream is None:
            return
        record = {"event": event, "time": round(time.time(), 3), **data}
        self._stream.write(json.dumps(plain(record), ensure_ascii=False, default=str) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file; later events are dropped."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def open_events(spec: RunSpec) -> EventWriter:
    """Return the run's event writer: the first rank writes, all others are silent."""
    is_first = int(os.environ.get("RANK", "0")) == 0
    return EventWriter(Path(spec.events_path) if spec.events_path and is_first else None)


def plain(value: Any) -> Any:
    """Return `value` as data that strict JSON can hold: 0-d tensors and numpy scalars as numbers, nan as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if not isinstance(value, (str, bytes, bool, int, float)) and hasattr(value, "item") and hasattr(value, "ndim"):
        value = value.item() if value.ndim == 0 else value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
