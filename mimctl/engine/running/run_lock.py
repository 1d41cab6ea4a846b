"""One live run in a work dir at a time, on file systems with and without locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.util import register_after_fork
from pathlib import Path

from mimctl.engine.reporting.log import get_logger
from mimctl.errors import MimctlError

LOCK_NAME = ".lock"
BEAT_S = 20.0
"""Seconds between two signs of life of a run that could take no lock."""
DEAD_AFTER_S = 180.0
"""Seconds without a sign of life after which a run on another machine counts as dead."""
QUEUED_AGAIN_S = 240.0
"""Seconds that a job which Slurm has queued again waits for the lock: a node that was lost may not know it yet, and on
a file system without locks who was killed on another machine counts as alive for `DEAD_AFTER_S`."""
POLL_S = 1.0
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_HOLDER = re.compile(r"process (?P<pid>\d+) on (?P<host>\S+) \(started (?P<started>\S+)\)")


@contextlib.contextmanager
def locked(work_dir: Path, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the work dir while the block runs; raise MimctlError[work-dir-in-use] where another live run has it.

    Who is given `patience_s` seconds waits so long for that run to end.

    The lock is the system's (flock, else a record lock): it ends with the process, whatever ends that. Where a file
    system has neither, the file says who holds it: a process of this machine is looked up, one of another machine is
    alive while the file is touched. Processes that load data do not keep the lock: they live on for seconds where
    their parent was killed.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    path = work_dir / LOCK_NAME
    lock = _Lock(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
    register_after_fork(lock, _Lock.close)
    try:
        has_lock = _wait_for(lock, path, time.monotonic() + patience_s)
        told = f"process {os.getpid()} on {socket.gethostname()} (started {_start_of(os.getpid())})\n"
        os.ftruncate(lock.handle, 0)
        os.pwrite(lock.handle, told.encode(), 0)
        try:
            with contextlib.nullcontext() if has_lock else _beating(path):
                yield
        finally:
            os.ftruncate(lock.handle, 0)
    finally:
        lock.close()


def patience_of(environ: Mapping[str, str]) -> float:
    """Return how long a run waits for its work dir: one that Slurm has queued again for its own earlier start."""
    return QUEUED_AGAIN_S if environ.get("SLURM_RESTART_COUNT", "0") != "0" else 0.0


def _wait_for(lock: _Lock, path: Path, deadline: float) -> bool:
    """Take the lock and return whether the system keeps it; raise MimctlError[work-dir-in-use] after the deadline."""
    is_told = False
    while True:
        has_lock = _take(lock.handle)
        holder = os.pread(lock.handle, 200, 0).decode(errors="replace").strip()
        if has_lock or (has_lock is None and not _seems_alive(holder, path)):
            return bool(has_lock)
        if time.monotonic() >= deadline:
            raise _in_use(path.parent, holder)
        if not is_told:
            get_logger().info("waiting until the work dir is free: %s has it", holder or "another run")
            is_told = True
        time.sleep(POLL_S)


class _Lock:
    """An open file that is closed once."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1


def _take(handle: int) -> bool | None:
    """Return whether the lock was got, None where this file system has none."""
    for lock in (fcntl.flock, fcntl.lockf):
        try:
            lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno in _HELD:
                return False
        else:
            return True
    return None


def _seems_alive(holder: str, path: Path) -> bool:
    found = _HOLDER.fullmatch(holder)
    if found is None:
        return False
    if found["host"] == socket.gethostname():
        return int(found["pid"]) != os.getpid() and _start_of(int(found["pid"])) == found["started"]
    touched = path.stat().st_mtime
    return _now_at(path) - touched < DEAD_AFTER_S


def _now_at(path: Path) -> float:
    """Return the time by the clock of the file's machine."""
    probe = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        probe.write_text("")
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _start_of(pid: int) -> str:
    """Return when a process of this machine was started, "gone" where there is none (Linux; elsewhere "alive")."""
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "gone" if state in "ZX" else facts[18]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return "alive"


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _in_use(work_dir: Path, holder: str) -> MimctlError:
    return MimctlError(
        f"another run is training in `{work_dir}`",
        code="work-dir-in-use",
        causes=[holder] if holder else [],
        hints=["wait for it, stop it, or give this run its own `--work-dir`"],
    )
