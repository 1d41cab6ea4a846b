"""The work dir of a training: one live run at a time, an earlier run's files kept under its timestamp."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from multiprocessing.util import register_after_fork
from pathlib import Path

from mimctl.errors import MimctlError

LOCK_NAME = ".lock"
_STAMP = re.compile(r"\d{8}_\d{6}(_\d+)?$")
_RESULTS = ("*.pth", "*.safetensors", "last_checkpoint", "*.py")


@contextlib.contextmanager
def locked(work_dir: Path) -> Iterator[None]:
    """Hold the work dir while the block runs; raise MimctlError[work-dir-in-use] where another live run has it.

    The lock is the system's (flock): it ends with the process, whatever ends that. Processes that load data do not
    keep it alive: they live on for seconds where their parent was killed.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lock = _Lock(os.open(work_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666))
    register_after_fork(lock, _Lock.close)
    handle = lock.handle
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            raise MimctlError(
                f"another run is training in `{work_dir}`",
                code="work-dir-in-use",
                causes=[holder] if holder else [],
                hints=["wait for it, stop it, or give this run its own `--work-dir`"],
            ) from err
        except OSError:
            # Some network file systems have no locks; a run must not fail for that.
            pass
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        lock.close()


class _Lock:
    """An open file that is closed once."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1


def put_earlier_run_away(work_dir: Path, *, keep: Path | None = None, run_dir: Path | None = None) -> Path | None:
    """Move the files of an earlier run into its timestamp folder and return that folder, None if there was none.

    Moved are checkpoints, the pointer to the last one, and configs; `keep` (this run's config) stays, `run_dir` is
    this run's own folder.
    """
    found = [path for pattern in _RESULTS for path in sorted(work_dir.glob(pattern)) if path.is_file()]
    moved = [path for path in found if keep is None or path.resolve() != keep.resolve()]
    if not any(path.suffix != ".py" for path in moved):
        return None
    target = _earlier_folder(work_dir, run_dir) or work_dir / _stamp_of(moved)
    target.mkdir(exist_ok=True)
    for path in moved:
        place = target / path.name
        number = 1
        while place.exists():
            place = target / f"{path.stem}-{number}{path.suffix}"
            number += 1
        path.rename(place)
    return target


def _earlier_folder(work_dir: Path, run_dir: Path | None) -> Path | None:
    folders = sorted(path for path in work_dir.iterdir() if path.is_dir() and _STAMP.fullmatch(path.name))
    earlier = [path for path in folders if run_dir is None or path.resolve() != run_dir.resolve()]
    trainings = [path for path in earlier if _action(path) in (None, "train")]
    return trainings[-1] if trainings else None


def _action(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "spec.json").read_text(encoding="utf-8"))["action"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp_of(paths: list[Path]) -> str:
    newest = max(path.stat().st_mtime for path in paths)
    return time.strftime("%Y%m%d_%H%M%S", time.localtime(newest))
