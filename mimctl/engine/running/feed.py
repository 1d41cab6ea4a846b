"""Batches of a dataloader, pass after pass, with a position that a checkpoint can keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from mimctl.engine.data.handover import Loader
from mimctl.engine.data.memory import inner_datasets
from mimctl.engine.data.passes import (
    State,
    begin_pass,
    go_on,
    place_state,
    restore_generators_of,
    samplers_of,
    start_state,
)
from mimctl.engine.ranks.distributed import get_world_size
from mimctl.engine.reporting.log import get_logger

__all__ = ["Feed", "inner_datasets", "set_sampler_seed", "stop_workers", "tell_epoch"]


class Feed:
    """Iterate over a dataloader and know how far.

    `epoch` counts whole passes, `position` the batches of the current pass that were handed out. After
    `load_state_dict` the current pass goes on behind them, without loading them again (see `passes`).
    """

    def __init__(self, dataloader: DataLoader[Any]) -> None:
        self.dataloader = dataloader
        self.epoch = 0
        self.position = 0
        self._start: State | None = None
        self._resumed: State | None = None
        self._iterator: Iterator[Any] | None = None

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, batch) for the rest of the current pass."""
        first = self.position
        self._iterator = self._begin()
        for index, batch in enumerate(self._iterator, start=first):
            self.position = index + 1
            yield index, batch
        self._iterator = None
        self.epoch += 1
        self.position = 0

    def stop(self) -> None:
        """End the processes that load data."""
        stop_workers(self.dataloader, self._iterator)
        self._iterator = None

    def endless(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, batch) pass after pass; each pass but the first tells the sampler its number."""
        while True:
            if self.epoch > 0:
                tell_epoch(self.dataloader, self.epoch)
            yield from self.batches()

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain data, the same on every rank."""
        return {"epoch": self.epoch, "position": self.position, "samples_per_step": self._samples_per_step()}

    def rank_state(self) -> State:
        """Return what else this rank needs to go on at the position: plain data and tensors."""
        return place_state(self.dataloader, position=self.position, start=self._start)

    def load_state_dict(self, state: dict[str, Any], rank_state: State | None = None) -> None:
        """Go to a position; the caller restores this process's random state before the next batch is asked for.

        With another number of samples a step the position is the last step that ends before or at the saved one.
        Without `rank_state` what this rank's transforms remembered, and an order that its generators drew, are lost.
        """
        self.epoch = int(state["epoch"])
        self.position = self._translated(int(state["position"]), state.get("samples_per_step"))
        self._start = (rank_state or {}).get("start")
        self._resumed = (rank_state or {}) if self.position else None
        restore_generators_of(self.dataloader, rank_state or {})

    def _begin(self) -> Iterator[Any]:
        state, self._resumed = self._resumed, None
        if state is not None:
            return go_on(self.dataloader, epoch=self.epoch, position=self.position, state=state)
        self._start = start_state(self.dataloader)
        return begin_pass(self.dataloader, epoch=self.epoch)

    def _samples_per_step(self) -> int:
        size = getattr(self.dataloader.batch_sampler, "batch_size", None) or self.dataloader.batch_size or 1
        return int(size) * get_world_size()

    def _translated(self, position: int, before: int | None) -> int:
        now = self._samples_per_step()
        if before is None or before == now or position == 0:
            return position
        translated = position * before // now
        get_logger().warning(
            "a step takes %d samples, before it took %d: the epoch goes on behind %d of its samples, %d are seen twice",
            now,
            before,
            translated * now,
            position * before - translated * now,
        )
        return translated


def tell_epoch(dataloader: Any, epoch: int) -> None:
    """Tell the sampler (or the batch sampler's) which epoch its next iteration is, if it wants to know."""
    for sampler in samplers_of(dataloader):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
            return


def stop_workers(dataloader: Any, iterator: Any = None) -> None:
    """End the processes of a dataloader, persistent ones and those of an iterator that was not used up.

    Left to the garbage collector each of them takes torch's full five seconds. The next epoch starts new ones.
    """
    for each in {id(held): held for held in (iterator, getattr(dataloader, "_iterator", None))}.values():
        shutdown = getattr(each, "_shutdown_workers", None)
        if shutdown is not None:
            shutdown()
    if getattr(dataloader, "_iterator", None) is not None:
        dataloader._iterator = None


def set_sampler_seed(dataloader: Any, seed: int) -> None:
    """Let the samplers that have a seed order the data by this one (a resumed run keeps the order it began with)."""
    for sampler in samplers_of(dataloader):
        if hasattr(sampler, "seed"):
            sampler.seed = seed
    if isinstance(dataloader, Loader):
        dataloader.seed = seed
