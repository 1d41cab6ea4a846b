"""Puts a finished folder in the place of another in one step: a reader sees the old or the new, whole."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `target` when the block ends well, and vanishes otherwise.

    What processes that were killed have left beside `target` goes first (`sweep`).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    fresh.mkdir()
    fresh.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o755)
    try:
        yield fresh
        _put(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def sweep(target: Path) -> None:
    """Remove the half-made folders of processes that are no more; put back a folder that one of them had set aside."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.(new|old)")
    for path in sorted(target.parent.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or (int(match[1]) != os.getpid() and _is_alive(int(match[1]))):
            continue
        if match[2] == "old" and not target.exists():
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _put(fresh: Path, target: Path) -> None:
    """Rename `fresh` to `target`; an old folder there is left under the name of `fresh`."""
    if not target.exists():
        fresh.rename(target)
    elif not _exchange(fresh, target):
        # Only where the file system cannot exchange two names: for an instant there is none.
        old = fresh.with_suffix(".old")
        target.rename(old)
        fresh.rename(target)
        old.rename(fresh)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step (renameat2); return whether the system could."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    code = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), ctypes.c_uint(_RENAME_EXCHANGE))
    return bool(code == 0)
