"""What ranks of an agent do in tests: entries of a RunSpec, imported by the child process of each rank."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.spec import RunSpec

RANK = int(os.environ.get("RANK", "0"))


def leave_pid(name: str = "rank") -> None:
    """Write this process's id where the test looks for it."""
    write_pid(f"{name}-{RANK}", os.getpid())


def write_pid(name: str, pid: int | str) -> None:
    """Write an id, whole as soon as its file is there."""
    folder = Path(os.environ["TEST_PIDS"])
    (folder / f".{name}").write_text(str(pid))
    (folder / f".{name}").rename(folder / name)


def await_ranks(spec: RunSpec) -> None:
    """Return once all ranks have loaded what they need: from here on none is late because the machine is busy."""
    leave_pid("loaded")
    while len(list(Path(os.environ["TEST_PIDS"]).glob("loaded-*"))) < spec.launcher.num_procs:
        time.sleep(0.02)


def trouble(spec: RunSpec) -> dict[str, Any]:
    """Let rank 1 fail as the options say, while the others wait without end."""
    leave_pid()
    if spec.options.get("rank", 1) != RANK:
        if spec.options.get("deaf"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        leave_pid("waiting")
        time.sleep(900)
    while len(list(Path(os.environ["TEST_PIDS"]).glob("waiting-*"))) < spec.launcher.num_procs - 1:
        time.sleep(0.02)
    kind = spec.options["kind"]
    if kind == "workers":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"])
        leave_children()
        raise ValueError("with a child of its own")
    if kind == "error":
        raise MimctlError("the data are bad", code="bad-data", exit_code=3, hints=["look at them"])
    if kind == "bug":
        raise ValueError("a bug")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(int(kind))


def leave_children() -> None:
    """Write the ids of this process's children where the test looks for them."""
    for task in Path("/proc/self/task").glob("*/children"):
        for number, child in enumerate(task.read_text().split()):
            write_pid(f"child-{number}", child)


def exchange(spec: RunSpec) -> dict[str, Any]:
    """Exchange numbers with the other ranks, among them the failing one."""
    import torch

    from mimctl.engine.ranks import distributed

    leave_pid()
    await_ranks(spec)
    distributed.init("pytorch", timeout_s=spec.options.get("timeout"))
    total = int(distributed.all_reduce(torch.tensor(RANK + 1)))
    if spec.options.get("rank") == RANK:
        if spec.options["kind"] == "bug":
            raise ValueError("a bug")
        if spec.options["kind"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        hang()
    if "kind" in spec.options:
        distributed.all_reduce(torch.tensor(1))
    names = ("OMP_NUM_THREADS", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")
    told = distributed.all_gather_object([os.environ.get(name, "") for name in names] + [os.getpid()])
    distributed.shutdown()
    return {"total": total, "ranks": told}


def hang() -> None:
    """Do something that takes too long."""
    time.sleep(900)


def train(spec: RunSpec) -> dict[str, Any]:
    """Train on data that are bad on rank 1 alone: a number that is none, an error, or the death of what loads them."""
    from ranked_training import Points, make_runner

    from mimctl.engine.ranks import distributed

    leave_pid()
    distributed.init("pytorch")
    kind = spec.options["kind"]

    class Bad(Points):
        def __getitem__(self, index: int) -> dict[str, Any]:
            sample = super().__getitem__(index)
            if RANK == 1 and index > 8:
                if kind == "nan":
                    return {**sample, "target": sample["target"] * float("nan")}
                if kind == "worker":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ValueError(f"sample {index} is bad")
            return sample

    loader = {
        "dataset": Bad(),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 0 if kind == "nan" else 1,
    }
    logger = {"logger": {"type": "LoggerHook", "interval": 1}}
    make_runner(os.environ["TEST_PIDS"] + "-run", {"train_dataloader": loader, "default_hooks": logger}).train()
    return {}
