"""What the events of a run tell about how far it is, read from the file's end: a long training has written many."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 16
MOST_BYTES = 1 << 24
"""What lies further back is not looked for: 50,000 logged steps without a checkpoint or a validation."""
_KIND = re.compile(rb'\{"event": "(\w+)"')


@dataclass(slots=True)
class Told:
    """The newest event of each kind that counts."""

    step: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    error: Mapping[str, Any] | None = None
    """Of a failure that no step came after: a run that goes on has left it behind."""


def told_by(path: Path) -> Told:
    """Return what a file of events tells; nothing where it is not there."""
    told = Told()
    wanted = {b"step", b"metrics", b"checkpoint", b"error"}
    for line in _lines_backwards(path):
        found = _KIND.match(line)
        if found is None or found[1] not in wanted:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line torn by a full disk
        kind = event["event"]
        wanted.discard(found[1])
        if kind == "step":
            told.step = event
            wanted.discard(b"error")
        elif kind == "metrics":
            told.metrics = event.get("metrics", {})
        elif kind == "checkpoint":
            told.checkpoint = event.get("path")
        else:
            told.error = event
        if not wanted:
            break
    return told


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first, as far back as `MOST_BYTES`."""
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        end = stream.seek(0, os.SEEK_END)
        start = max(0, end - MOST_BYTES)
        rest = b""
        while end > start:
            begin = max(start, end - BLOCK_BYTES)
            stream.seek(begin)
            rest, *whole = (stream.read(end - begin) + rest).split(b"\n")
            end = begin
            yield from reversed(whole)
        if start == 0:
            yield rest
