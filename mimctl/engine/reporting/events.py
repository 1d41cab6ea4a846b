"""Progress events: JSON lines that the child appends and the command line draws."""

from __future__ import annotations

import contextlib
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

    A line is written whole and flushed, so that a reader never sees a half of one after its newline. What a full disk
    or a killed run has left of a line is ended before the next one, which would be lost with it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stream: TextIO | None = None
        self._is_torn: bool | None = None
        """Whether the last line lacks its end; None where nobody has looked."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a", encoding="utf-8")

    @property
    def is_on(self) -> bool:
        """Return whether events are written anywhere."""
        return self._stream is not None

    def emit(self, event: str, **data: Any) -> None:
        """Write one event; numbers that JSON does not know (nan, inf) become null."""
        if self._stream is None or self.path is None:
            return
        record = {"event": event, "time": round(time.time(), 3), **data}
        line = json.dumps(plain(record), ensure_ascii=False, default=str) + "\n"
        is_torn = _ends_torn(self.path) if self._is_torn is None else self._is_torn
        self._is_torn = True
        self._stream.write(f"\n{line}" if is_torn else line)
        self._stream.flush()
        self._is_torn = False

    def close(self) -> None:
        """Close the file; later events are dropped."""
        if self._stream is not None:
            with contextlib.suppress(OSError):  # `emit` has raised it
                self._stream.close()
            self._stream = None


def _ends_torn(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read() != b"\n"
    except OSError:
        return False  # not there, or empty


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
