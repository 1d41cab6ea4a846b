"""Processes by number: which are below another, and which is still the one that had the number."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """Return all processes below `pid` → when each started, which tells it from a later one with the same number."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in map(int, task.read_text(encoding="ascii").split()):
                    started = start_time(child)
                    if started and child not in found:
                        found[child] = started
                        waiting.append(child)
    return found


def start_time(pid: int) -> str:
    """Return when the system started a process, "" where there is none, or one that has ended and is not waited for."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if facts[0] in "ZX" else facts[19]
    except (OSError, IndexError):
        return ""


def end_all(family: Mapping[int, str]) -> None:
    """Send SIGKILL to those processes that are still the ones that were found (as `descendants` returns them)."""
    for pid, started in family.items():
        if start_time(pid) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
