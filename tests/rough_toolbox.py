"""A toolbox whose training ends badly, in the way that its config says; torch is there only where it is asked for."""

from __future__ import annotations

import time
from pathlib import Path

from toy_toolbox import install_toolbox

ENTRIES = '''\
"""Ends badly. The ids of all processes are left in the work dir, and the moment at which one of them fails."""

import os
import signal
import sys
import time
from pathlib import Path


def train(spec):
    from mimctl.config import Config

    kind, *more = Config.fromfile(spec.config, overrides=spec.overrides).model.mode.split()
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    folder = Path(spec.work_dir)
    if "deaf" in more:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    if "child" in more and os.fork() == 0:
        stay(folder, f"child-{rank}")
    loaded = load(folder, rank) if "loading" in more else None
    if "exchanging" in more:
        from mimctl.engine.ranks import distributed

        distributed.init("pytorch")
        distributed.barrier()
    leave(folder, f"rank-{rank}")
    if kind == "hangs" or rank != count - 1:
        if "exchanging" in more:
            distributed.barrier()
        time.sleep(900)
    while len(list(folder.glob("*-*.pid"))) < count * (1 + ("child" in more) + ("loading" in more)):
        time.sleep(0.01)
    (folder / "failed").write_text(str(time.time()))
    fail(kind)


def fail(kind):
    if kind == "bug":
        raise ValueError("the net tore")
    if kind == "memory":
        raise MemoryError("Unable to allocate 2.00 TiB")
    if kind == "exit":
        print("last words", flush=True)
        os._exit(7)
    os.kill(os.getpid(), getattr(signal, kind))


def load(folder, rank):
    from torch.utils.data import DataLoader

    from mimctl.engine.data.worker_signals import StartWorker

    class Data:
        def __len__(self):
            return 8

        def __getitem__(self, index):
            if index >= 4:
                stay(folder, f"loader-{rank}")
            return index

    loader = iter(DataLoader(Data(), batch_size=4, num_workers=1, worker_init_fn=StartWorker(lambda number: None)))
    next(loader)
    return loader


def leave(folder, name):
    path = folder / f"{name}.pid"
    path.with_suffix(".tmp").write_text(str(os.getpid()))
    path.with_suffix(".tmp").rename(path)


def stay(folder, name):
    leave(folder, name)
    time.sleep(900)
    os._exit(0)
'''


def install_rough_toolbox(site: Path) -> None:
    """Put the toolbox `rough` into a folder of an import path; its config is `rough_small`, `model.mode` says how."""
    site.mkdir(exist_ok=True)
    (install_toolbox(site, "rough") / "entries.py").write_text(ENTRIES)


def process_ids(work_dir: Path) -> dict[str, int]:
    """Return the ids of all processes that a training has left word of."""
    return {path.stem: int(path.read_text()) for path in sorted(work_dir.glob("*.pid"))}


def wait_for_ids(work_dir: Path, count: int, *, seconds: float = 240) -> dict[str, int]:
    """Wait until so many processes are there, and return their ids."""
    deadline = time.monotonic() + seconds
    while len(found := process_ids(work_dir)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def is_running(pid: int) -> bool:
    """Return whether a process goes; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_end(pids: dict[str, int], *, seconds: float) -> float:
    """Wait until none of the processes goes, and return how long that took; AssertionError names those that do."""
    begin = time.monotonic()
    while left := [name for name, pid in pids.items() if is_running(pid)]:
        assert time.monotonic() - begin < seconds, f"still there after {seconds} s: {left}"
        time.sleep(0.02)
    return time.monotonic() - begin
