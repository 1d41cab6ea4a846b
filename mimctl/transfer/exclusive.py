"""A lock that needs no flock, says who holds it, and outlives no one.

It is a file made by `link`, which is atomic on NFS too. A holder that died leaves it behind. Whoever takes over links
`….after-<token of the dead one>`: only one process can, and nothing is removed before it has, so two takers never both
win. The last of such a chain holds the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.transfer.owner import Owner, is_alive, this_process

_POLL_S = 0.1
_PULSE_S = 0.25
_READ_ATTEMPTS = 10
_SILENCE_S = 60.0
"""After this long without a sign of life, a holder on another host is no longer waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The files of one lock, and the words for those who wait."""

    folder: Path
    name: str
    """Name of the file that all see; others begin with it."""
    doing: str
    """What its holder does: `which is changing /home/me/venv/lib`."""
    code: str
    """Code of the errors."""

    @property
    def path(self) -> Path:
        """Return the file that all see."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, and the file that says so."""

    path: Path
    token: str
    owner: Owner


@contextlib.contextmanager
def holding(
    lock: Lock, say: Callable[[str], None], *, refuse: Callable[[Owner], MimctlError] | None = None
) -> Iterator[None]:
    """Hold a lock; wait where another process holds it, take over where that one has died.

    With `refuse` nobody waits: what it returns of the other process is raised. Raises MimctlError (the lock's code)
    where the holder is on another host and has given no sign of life for long, and OSError where the folder cannot be
    written.
    """
    token = os.urandom(8).hex()
    own = lock.folder / f"{lock.name}-new-{token}"
    try:
        held = _acquire(lock, own, {"token": token, **this_process().to_dict()}, say, refuse)
        own.unlink(missing_ok=True)
        with pulse(held):
            try:
                yield
            finally:
                _release(lock)
    finally:
        own.unlink(missing_ok=True)


def is_held(lock: Lock) -> bool:
    """Return whether a process holds the lock and is not known to have died."""
    chain = _chain(lock)
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


def _acquire(
    lock: Lock,
    own: Path,
    data: Mapping[str, object],
    say: Callable[[str], None],
    refuse: Callable[[Owner], MimctlError] | None,
) -> Path:
    """Wait for the lock; return the file that makes us its holder."""
    told = ""
    while True:
        if not own.exists():  # at first, and where somebody took it for a dead one's before it was written
            _write(own, json.dumps(data))
        chain = _chain(lock)
        if not chain:
            if _link(own, lock.path):
                return lock.path
            continue
        holder = chain[-1]
        if is_alive(holder.owner) is False:
            taken = _successor(lock, holder)
            if _link(own, taken):
                # Looked at from the start again: while we were slow, another may have taken over and let go.
                if [each.token for each in _chain(lock)][-1:] == [data["token"]]:
                    return taken
                taken.unlink(missing_ok=True)
            continue
        _check_not_silent(lock, own, holder)
        if refuse is not None:
            raise refuse(holder.owner)
        if holder.token != told:
            say(f"waiting for {holder.owner}, {lock.doing}")
            told = holder.token
        time.sleep(_POLL_S)


def _write(own: Path, text: str) -> None:
    """Write our file, whose name may vanish meanwhile."""
    with own.open("w", encoding="utf-8") as file:
        file.write(text)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), 0o644)  # whoever shares the environment may know, whatever this user's umask is


def _release(lock: Lock) -> None:
    """Let go: first the file that all see, then what is left of those whose place was taken, or who died waiting."""
    lock.path.unlink(missing_ok=True)
    for left in lock.folder.glob(f"{escape(lock.name)}-new-*"):
        try:
            waiting = _read(lock, left, attempts=1)
            is_dead = waiting is not None and is_alive(waiting.owner) is False
        except MimctlError:
            is_dead = True
        if is_dead:
            left.unlink(missing_ok=True)
    for left in lock.folder.glob(f"{escape(lock.name)}-after-*"):
        if not any(left == each.path for each in _chain(lock)):
            left.unlink(missing_ok=True)


def _chain(lock: Lock) -> list[Holder]:
    """Return the holder that first made the lock and, where it died, those that took over, the last one last."""
    chain: list[Holder] = []
    path = lock.path
    while (holder := _read(lock, path)) is not None:
        chain.append(holder)
        path = _successor(lock, holder)
    return chain


def _successor(lock: Lock, holder: Holder) -> Path:
    return lock.folder / f"{lock.name}-after-{holder.token}"


def _read(lock: Lock, path: Path, *, attempts: int = _READ_ATTEMPTS) -> Holder | None:
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
                code=lock.code,
                causes=[f"{type(err).__name__}: {err}"],
                hints=[f"if nobody is at work there: `rm {path}`, then repeat the command"],
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


def _check_not_silent(lock: Lock, own: Path, holder: Holder) -> None:
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
        f"{holder.owner}, {lock.doing}, has given no sign of life for {silence_s:.0f} s",
        code=lock.code,
        causes=["whether it still lives cannot be seen from here: another host or container"],
        hints=[
            f"look on {holder.owner.host} whether process {holder.owner.pid} still runs",
            f"if it does not: `rm {lock.path}`, then repeat the command",
        ],
    )
