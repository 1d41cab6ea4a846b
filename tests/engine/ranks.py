"""Ranks of a process group on this machine, started once and given function after function to call."""

from __future__ import annotations

import atexit
import json
import multiprocessing
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

TIMEOUT_S = 90.0

_TEAMS: dict[int, Team] = {}


def on_ranks(function: Callable[..., Any], *arguments: Any, count: int = 2) -> list[Any]:
    """Call `function(rank, *arguments)` on each of `count` ranks and return what they returned, as JSON carries it.

    AssertionError with the traceback of the rank that failed first; the other ranks are stopped then.
    """
    team = _TEAMS.get(count)
    if team is None:
        team = _TEAMS[count] = Team(count)
    try:
        return team.call(function, arguments)
    except BaseException:
        _TEAMS.pop(count).stop()
        raise


def on_two_ranks(function: Callable[[int], Any], folder: Path | None = None) -> tuple[Any, Any]:
    """Call `function(rank)` on each of two ranks."""
    first, second = on_ranks(function)
    return first, second


class Team:
    """So many processes that are ranks of one group."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="ranks-")
        self._ranks: list[BaseProcess] = []
        self._lines: list[Connection] = []
        for rank in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank, count, self._folder.name), daemon=True)
            process.start()
            theirs.close()
            self._ranks.append(process)
            self._lines.append(ours)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
        """Call the function on all ranks."""
        for line in self._lines:
            line.send((function, arguments))
        results: dict[int, Any] = {}
        waiting = dict(zip(self._lines, range(len(self._lines)), strict=True))
        while waiting:
            ready = wait(list(waiting), TIMEOUT_S)
            assert ready, f"ranks {sorted(waiting.values())} did not answer in {TIMEOUT_S:.0f} s"
            for line in ready:
                rank = waiting.pop(line)  # type: ignore[call-overload]
                try:
                    told, failure = line.recv()  # type: ignore[union-attr]
                except EOFError:
                    raise AssertionError(f"rank {rank} died") from None
                assert failure is None, f"rank {rank}:\n{failure}"
                results[rank] = json.loads(told)
        return [results[rank] for rank in sorted(results)]

    def stop(self) -> None:
        """End the ranks."""
        for process in self._ranks:
            process.kill()
            process.join()
        self._folder.cleanup()


def _serve(line: Connection, rank: int, count: int, folder: str) -> None:
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    while True:
        try:
            function, arguments = line.recv()
        except EOFError:
            return
        torch.manual_seed(0)
        try:
            line.send((json.dumps(function(rank, *arguments)), None))
        except BaseException:
            line.send((None, traceback.format_exc()))


@atexit.register
def _stop_all() -> None:
    while _TEAMS:
        _TEAMS.popitem()[1].stop()
