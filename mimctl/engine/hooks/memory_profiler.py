"""Log how much memory a run takes, and how much the machine has left."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class MemoryProfilerHook(Hook):
    """Log every `interval` iterations what this process and those that load its data hold, in MB (2^20 bytes).

    Main memory is read where the system tells it in /proc (Linux); elsewhere only the GPU's is logged.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        if self.every_n_inner_iters(batch_idx, self.interval):
            facts = memory_facts()
            get_logger().info("memory: %s", ", ".join(f"{name} {value:,.0f} MB" for name, value in facts.items()))


def memory_facts() -> dict[str, float]:
    """Return the memory of this process, of its children, of the machine and of the GPU, in MB, by name."""
    facts: dict[str, float] = {}
    own = resident_mb(os.getpid())
    if own is not None:
        facts["process"] = own
    workers = [resident_mb(each.pid) or 0.0 for each in multiprocessing.active_children() if each.pid is not None]
    if workers:
        facts[f"{len(workers)} workers"] = sum(workers)
    machine = _machine()
    facts |= {
        "machine available": machine["MemAvailable"],
        "of": machine["MemTotal"],
        "swap used": machine["SwapTotal"] - machine["SwapFree"],
    } if machine else {}  # fmt: skip
    if torch.cuda.is_available():
        facts["GPU peak"] = torch.cuda.max_memory_allocated() / 2**20
    return facts


def resident_mb(process_id: int) -> float | None:
    """Return what a process holds in main memory, shared pages included, None where that is not told."""
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _machine() -> dict[str, float]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    found = (line.replace(":", " ").split() for line in lines)
    return {words[0]: int(words[1]) / 1024 for words in found if len(words) > 1}
