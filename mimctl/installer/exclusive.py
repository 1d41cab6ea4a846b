"""One change of an environment at a time: a second one waits, and says for whom."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mimctl.environment.distributions import scan
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError


@contextlib.contextmanager
def only_one(env: Environment, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of an environment; wait where another process of this user holds it.

    The lock is a file in the folder for temporary ones and ends with the process that holds it. Raises
    MimctlError[environment-changed] where the environment is no longer the one that was planned for.
    """
    path = _lock_file(env)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        _acquire(handle, env, say)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        _check_unchanged(env)
        yield
    finally:
        os.close(handle)


def is_being_changed(env: Environment) -> bool:
    """Return whether a process of this user holds the lock of an environment."""
    try:
        import fcntl

        handle = os.open(_lock_file(env), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _lock_file(env: Environment) -> Path:
    digest = hashlib.sha256(str(env.paths.prefix.resolve()).encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"mimctl-{user}-{digest}.lock"


def _acquire(handle: int, env: Environment, say: Callable[[str], None]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two installations at once are left to the installers
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        who = f"process {holder}" if holder.isdigit() else "another process"
        say(f"waiting for {who}, which is changing {env.paths.prefix}")
        fcntl.flock(handle, fcntl.LOCK_EX)


def _check_unchanged(env: Environment) -> None:
    if scan(env.paths.search) == dict(env.distributions):
        return
    raise MimctlError(
        f"{env.paths.prefix} was changed since the plan was made",
        code="environment-changed",
        causes=["another process has installed or removed something there"],
        hints=["repeat the command: it plans anew with what is there now"],
    )
