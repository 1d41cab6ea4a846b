"""One change of an environment at a time: a lock that needs no flock, says who holds it, and outlives no one.

The lock is a file beside `site-packages`, made by `link`, which is atomic on NFS too. A holder that died leaves it
behind. Whoever takes over links `….after-<token of the dead one>`: only one process can, and nothing is removed before
it has, so two takers never both win. The last of such a chain holds the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimctl.environment.distributions import scan
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.owner import Owner, is_alive, this_process

_LOCK = ".mimctl-lock"
_NEW = f"{_LOCK}-new-"
_POLL_S = 0.1
_PULSE_S = 0.25
_READ_ATTEMPTS = 10
_SILENCE_S = 60.0
"""After this long without a sign of life, a holder on another host is no longer waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, and the file that says so."""

    path: Path
    token: str
    owner: Owner


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
    place = lock_place(env)
    token = secrets.token_hex(8)
    own = place / f"{_NEW}{token}"
    try:
        held = _acquire(place, own, {"token": token, **this_process().to_dict()}, say)
        own.unlink(missing_ok=True)
        with pulse(held):
            try:
                yield
            finally:
                _release(place)
    finally:
        own.unlink(missing_ok=True)


def lock_place(env: Environment) -> Path:
    """Return the folder of the lock: beside `site-packages`, where no installer looks."""
    return env.paths.purelib.parent


def is_being_changed(env: Environment) -> bool:
    """Return whether a process holds the lock of an environment and is not known to have died."""
    chain = _chain(lock_place(env))
    return bool(chain) and is_alive(chain[-1].owner) is not False


@contextlib.contextmanager
def pulse(path: Path) -> Iterator[None]:
    """Renew the time of a file every quarter of a second, so that it tells until when this process was at work."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_PULSE_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, name="mimctl-pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _acquire(place: Path, own: Path, data: Mapping[str, object], say: Callable[[str], None]) -> Path:
    """Wait for the lock; return the file that makes us its holder."""
    told = ""
    while True:
        if not own.exists():  # at first, and where somebody took it for a dead one's before it was written
            _write(own, json.dumps(data))
        chain = _chain(place)
        if not chain:
            if _link(own, place / _LOCK):
                return place / _LOCK
            continue
        holder = chain[-1]
        if is_alive(holder.owner) is False:
            taken = _successor(place, holder)
            if _link(own, taken):
                # Looked at from the start again: while we were slow, another may have taken over and let go.
                if [each.token for each in _chain(place)][-1:] == [data["token"]]:
                    return taken
                taken.unlink(missing_ok=True)
            continue
        if holder.token != told:
            say(f"waiting for {holder.owner}, which is changing {place.parent}")
            told = holder.token
        _check_not_silent(place, own, holder)
        time.sleep(_POLL_S)


def _write(own: Path, text: str) -> None:
    """Write our file, whose name may vanish meanwhile."""
    with own.open("w", encoding="utf-8") as file:
        file.write(text)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), 0o644)  # whoever shares the environment may know, whatever this user's umask is


def _release(place: Path) -> None:
    """Let go: first the file that all see, then what is left of those whose place was taken, or who died waiting."""
    (place / _LOCK).unlink(missing_ok=True)
    for left in place.glob(f"{_NEW}*"):
        try:
            waiting = _read(left, attempts=1)
            is_dead = waiting is not None and is_alive(waiting.owner) is False
        except MimctlError:
            is_dead = True
        if is_dead:
            left.unlink(missing_ok=True)
    for left in place.glob(f"{_LOCK}-after-*"):
        if not any(left == each.path for each in _chain(place)):
            left.unlink(missing_ok=True)


def _chain(place: Path) -> list[Holder]:
    """Return the holder that first made the lock and, where it died, those that took over, the last one last."""
    chain: list[Holder] = []
    path = place / _LOCK
    while (holder := _read(path)) is not None:
        chain.append(holder)
        path = _successor(place, holder)
    return chain


def _successor(place: Path, holder: Holder) -> Path:
    return place / f"{_LOCK}-after-{holder.token}"


def _read(path: Path, *, attempts: int = _READ_ATTEMPTS) -> Holder | None:
    for attempt in range(attempts):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return Holder(path=path, token=str(data["token"]), owner=Owner.from_dict(data))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as err:
            # Where the file system has no links, the file is there a moment before what it says.
            if attempt + 1 < attempts:
                time.sleep(_POLL_S)
                continue
            raise MimctlError(
                f"the lock `{path}` cannot be read",
                code="environment-locked",
                causes=[f"{type(err).__name__}: {err}"],
                hints=[f"if nobody is installing there: `rm {path}`, then repeat the command"],
            ) from err
    return None


def _link(own: Path, name: Path) -> bool:
    """Give our file another name, unless somebody has taken that; return whether it is ours now."""
    try:
        os.link(own, name)
    except (FileExistsError, FileNotFoundError):
        return False
    except (OSError, NotImplementedError):
        # An answer that got lost on its way, or a file system without links.
        if _is_same(own, name):
            return True
        return _copy_exclusively(own, name)
    return True


def _copy_exclusively(own: Path, name: Path) -> bool:
    try:
        text = own.read_text(encoding="utf-8")
        with name.open("x", encoding="utf-8") as file:
            file.write(text)
    except (FileExistsError, FileNotFoundError):
        return False
    return True


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False


def _check_not_silent(place: Path, own: Path, holder: Holder) -> None:
    """Raise where nobody can tell whether the holder lives, and it has not renewed the lock for long.

    Both times are the file system's: clocks of two hosts need not agree.
    """
    if is_alive(holder.owner) is not None:
        return
    try:
        os.utime(own)
        silence_s = own.stat().st_mtime - holder.path.stat().st_mtime
    except OSError:
        return
    if silence_s < _SILENCE_S:
        return
    raise MimctlError(
        f"{holder.owner}, holds the lock of {place.parent} and has given no sign of life for {silence_s:.0f} s",
        code="environment-locked",
        causes=["whether it still lives cannot be seen from here: another host or container"],
        hints=[
            f"look on {holder.owner.host} whether process {holder.owner.pid} still runs",
            f"if it does not: `rm {place / _LOCK}`, then repeat the command",
        ],
    )


def _check_unchanged(env: Environment) -> None:
    if scan(env.paths.search) == dict(env.distributions):
        return
    raise MimctlError(
        f"{env.paths.prefix} was changed since the plan was made",
        code="environment-changed",
        causes=["another process has installed or removed something there"],
        hints=["repeat the command: it plans anew with what is there now"],
    )
