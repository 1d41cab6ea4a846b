"""One change of an environment at a time: its lock, and what must not have changed in the meantime."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mimctl.environment.distributions import scan
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.transfer.exclusive import Lock, holding, is_held, pulse

__all__ = ["is_being_changed", "lock_place", "locked", "only_one", "pulse"]

_LOCK = ".mimctl-lock"


@contextlib.contextmanager
def only_one(env: Environment, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of an environment that is still as it was planned for.

    Raises MimctlError[environment-changed] where it is not, and what `locked` raises.
    """
    with locked(env, say):
        _check_unchanged(env)
        yield


@contextlib.contextmanager
def locked(env: Environment, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of an environment; wait where another process holds it, take over where that one has died.

    Raises MimctlError[environment-locked] where the holder is on another host and has given no sign of life for long.
    """
    with holding(_lock(env), say):
        yield


def lock_place(env: Environment) -> Path:
    """Return the folder of the lock: beside `site-packages`, where no installer looks."""
    return env.paths.purelib.parent


def is_being_changed(env: Environment) -> bool:
    """Return whether a process holds the lock of an environment and is not known to have died."""
    return is_held(_lock(env))


def _lock(env: Environment) -> Lock:
    place = lock_place(env)
    return Lock(folder=place, name=_LOCK, doing=f"which is changing {place.parent}", code="environment-locked")


def _check_unchanged(env: Environment) -> None:
    if scan(env.paths.search) == dict(env.distributions):
        return
    raise MimctlError(
        f"{env.paths.prefix} was changed since the plan was made",
        code="environment-changed",
        causes=["another process has installed or removed something there"],
        hints=["repeat the command: it plans anew with what is there now"],
    )
