"""Refuse to replace a compiled library that a running job has mapped: its other files would change under it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.model import Change
from mimctl.installer.transaction.snapshot import claimed_by
from mimctl.resolution.names import is_own

_LIBRARIES = (".so", ".pyd", ".dylib")


def check_unused(env: Environment, changes: Iterable[Change]) -> None:
    """Raise MimctlError[library-in-use] where a process has mapped a library of ours that is to be replaced or removed.

    Only processes that may be looked at are seen, and only where the system tells of mappings (Linux).
    """
    libraries = {
        os.path.realpath(path): change.name
        for change in changes
        if change.previous is not None and is_own(change.name) and change.name in env.distributions
        for path in claimed_by(env.distributions[change.name])
        if path.endswith(_LIBRARIES)
    }
    if not libraries:
        return
    users = sorted((pid, path) for pid, path in _mapped() if path in libraries)
    if not users:
        return
    processes = dict(reversed(users))
    names = sorted({libraries[path] for _, path in users})
    pids = " ".join(str(pid) for pid in sorted(processes))
    raise MimctlError(
        f"{', '.join(names)} is in use",
        code="library-in-use",
        causes=[f"process {pid} ({_command(pid)}) has loaded {path}" for pid, path in sorted(processes.items())],
        hints=[f"wait for it to end, or end it: `kill {pids}`; then repeat the command"],
    )


def _mapped() -> Iterator[tuple[int, str]]:
    """Yield (process, file) for every file that a process has mapped; our own process is left out."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except OSError:
        return
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            lines = Path(f"/proc/{name}/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            continue
        for path in {line.split(maxsplit=5)[5] for line in lines if line.count(" /") or line.count("\t/")}:
            yield int(name), path


def _command(pid: int) -> str:
    """Return the name of a process's program; its arguments are nobody's business."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "ended"
