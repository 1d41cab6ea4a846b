"""Two ranks of a process group on this machine."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def on_two_ranks(function: Callable[[int], Result], folder: Path) -> tuple[Result, Result]:
    """Call `function(rank)` on each of two ranks and return what they returned, as JSON carries it."""
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_run, args=(function, rank, folder)) for rank in range(2)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(120)
    assert [each.exitcode for each in ranks] == [0, 0]
    first, second = (json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2))
    return first, second


def _run(function: Callable[[int], Result], rank: int, folder: Path) -> None:
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    (folder / f"{rank}.json").write_text(json.dumps(function(rank)), encoding="utf-8")
    distributed.destroy_process_group()
