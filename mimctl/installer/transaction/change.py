"""One change of an environment that happens whole or not at all: journal, change, and undo where it fails."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.transaction.exclusive import lock_place, pulse
from mimctl.installer.transaction.journal import (
    begin,
    close_journal,
    find_journal,
    open_journal,
    read_journal,
)
from mimctl.installer.transaction.recovery import undo
from mimctl.installer.transaction.snapshot import take_snapshot
from mimctl.transfer.owner import Owner, is_alive

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A change that was begun and has not ended: it goes on, or was killed."""

    journal: Path
    owner: Owner
    what: str
    is_alive: bool
    """Whether it goes on, as far as can be told."""


@contextlib.contextmanager
def undone_on_failure(
    env: Environment,
    *,
    changing: frozenset[str] | None = None,
    written: frozenset[str] = frozenset(),
    what: str = "change",
    installer: str = "",
) -> Iterator[None]:
    """Run the body; where it raises (Ctrl-C, SIGTERM and SIGHUP too), bring the environment back to what it was.

    A journal tells what was there, so that `repair` can do the same where the process is killed. The caller holds the
    lock. `changing` names all distributions that the body brings, replaces or removes through `installer`, `written`
    the places in the folders of packages that it writes to; None: it may change anything. `what` says it in a few
    words. Raises MimctlError[killed-install] where an earlier change was killed.
    """
    check_finished(env, holds_lock=True)
    begun = begin(lock_place(env), what=what, installer=installer, asked=changing or ())
    try:
        snapshot = take_snapshot(env, begun / "kept", changing=changing, written=written)
        journal = open_journal(begun, snapshot, env.paths.prefix)
    except BaseException:
        shutil.rmtree(begun, ignore_errors=True)
        raise
    with contextlib.ExitStack() as stack:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` asked for that
                stack.enter_context(_handled(number, _end))
        try:
            with pulse(journal.pulse):
                yield
            with _deaf():
                close_journal(journal.path)
        except BaseException:
            with _deaf():
                if journal.path.is_dir():
                    undo(env, journal, snapshot)
                    close_journal(journal.path)
            raise


def check_finished(env: Environment, *, holds_lock: bool = False) -> None:
    """Raise MimctlError[killed-install] where an earlier change was killed and has not been repaired.

    Where it cannot be seen whether its process lives, that it does not is certain only to who holds the lock.
    """
    left = find_unfinished([env.paths.purelib])
    if left is None or (left.is_alive and not holds_lock):
        return
    raise MimctlError(
        f"an installation into {env.paths.prefix} was killed half-way",
        code="killed-install",
        causes=[f"`{left.what}` by {left.owner}", f"its journal is {left.journal}"],
        hints=[f"bring the environment back to what it was: `{repair_command(env)}`"],
    )


def repair_command(env: Environment) -> str:
    """Return what to type to repair an environment."""
    return "mimctl doctor --fix" + (f" --python {env.target.python}" if env.target.source == "--python" else "")


def find_unfinished(search: Iterable[Path]) -> Unfinished | None:
    """Return the change that goes on or was killed in the environment of a module search path."""
    path = find_journal(search)
    if path is None:
        return None
    try:
        journal = read_journal(path)
    except MimctlError:
        if not path.is_dir():  # it has ended this very moment
            return None
        raise
    return Unfinished(
        journal=path, owner=journal.owner, what=journal.what, is_alive=is_alive(journal.owner) is not False
    )


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Take no notice of signals that would end us."""
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, *_ENDING):
            stack.enter_context(_handled(number, signal.SIG_IGN))
        yield


@contextlib.contextmanager
def _handled(
    number: signal.Signals, handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Handle a signal so for a while; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
