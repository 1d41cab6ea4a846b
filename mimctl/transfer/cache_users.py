"""Who uses a cache right now: each process leaves a file there that names it, and takes it away when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from mimctl.transfer.owner import Owner, is_alive, this_process

_USERS = "in-use"
_FOREIGN_USER_S = 24 * 3600.0
"""A process on another host is taken to run for this long."""


def say_used(folder: Path) -> None:
    """Leave a file that names this process; it goes when the process ends, or when somebody finds it dead."""
    owner = this_process()
    path = folder / _USERS / f"{owner.host}-{owner.pid}.json"
    text = json.dumps(owner.to_dict())
    if path.is_file() and _owner(path) == (owner.pid, owner.started, owner.boot):
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    import atexit

    atexit.register(_forget, path, owner.pid)


def users_since(folder: Path) -> float:
    """Return since when other processes that may still run have been using the cache (infinite: there are none)."""
    since = float("inf")
    for path in (folder / _USERS).glob("*.json"):
        try:
            began = path.stat().st_mtime
            owner = Owner.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        alive = is_alive(owner)
        if alive is None:
            alive = time.time() - began < _FOREIGN_USER_S
        if not alive:
            path.unlink(missing_ok=True)
        elif owner.pid != os.getpid() or owner.host != this_process().host:
            since = min(since, began)
    return since


def _forget(path: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a fork of it
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _owner(path: Path) -> tuple[int, str, str] | None:
    try:
        found = Owner.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found.pid, found.started, found.boot
