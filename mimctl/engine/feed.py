"""Batches of a dataloader, pass after pass, with a position that a checkpoint can keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from mimctl.engine.data.loader import skip_batches
from mimctl.engine.random import rng_state, set_rng_state

Rng = dict[str, Any]


class Feed:
    """Iterate over a dataloader and know how far.

    `epoch` counts whole passes, `position` the batches of the current pass that were handed out. After
    `load_state_dict` the current pass goes on behind them. Samplers that can skip do so without loading; with others,
    and where transforms remember samples, the batches are loaded again as they were the first time, and dropped.
    """

    def __init__(self, dataloader: DataLoader[Any]) -> None:
        self.dataloader = dataloader
        self.epoch = 0
        self.position = 0
        self._start_rng: Rng | None = None
        self._is_resumed = False
        self._iterator: Iterator[Any] | None = None

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, batch) for the rest of the current pass."""
        first = self.position
        self._iterator = self._resumed_iterator() if self._is_resumed else self._fresh_iterator()
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
        """Return the position as plain data; inside a pass also the random state at its start."""
        state: dict[str, Any] = {"epoch": self.epoch, "position": self.position}
        if self.position and not _can_skip(self.dataloader):
            state["start_rng"] = self._start_rng
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position; the caller restores this process's random state before the next batch is asked for."""
        self.epoch = int(state["epoch"])
        self.position = int(state["position"])
        self._start_rng = state.get("start_rng")
        self._is_resumed = self.position > 0

    def _must_load_again(self) -> bool:
        # Endless samplers have no pass to go back to the start of; what their transforms remember starts empty.
        return self.position < len(self.dataloader) and _remembers_samples(self.dataloader.dataset)

    def _fresh_iterator(self) -> Iterator[Any]:
        if not _can_skip(self.dataloader):
            self._start_rng = rng_state()
        return iter(self.dataloader)

    def _resumed_iterator(self) -> Iterator[Any]:
        self._is_resumed = False
        now = rng_state()
        if _can_skip(self.dataloader) and not self._must_load_again():
            skip_batches(self.dataloader, self.position)
            iterator = iter(self.dataloader)
        else:
            if self._start_rng is not None:
                set_rng_state(self._start_rng)
            iterator = iter(self.dataloader)
            for _ in range(self.position):
                next(iterator, None)
        # Starting an iterator draws a seed; the uninterrupted run drew it before the state that was saved.
        set_rng_state(now)
        return iterator


def tell_epoch(dataloader: Any, epoch: int) -> None:
    """Tell the sampler (or the batch sampler's) which epoch its next iteration is, if it wants to know."""
    for sampler in _samplers(dataloader):
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
    for sampler in _samplers(dataloader):
        if hasattr(sampler, "seed"):
            sampler.seed = seed


def _samplers(dataloader: Any) -> tuple[Any, ...]:
    return dataloader.sampler, getattr(dataloader.batch_sampler, "sampler", None)


def inner_datasets(dataset: Any) -> list[Any]:
    """Return the datasets inside wrappers and concatenations: those that load samples."""
    if hasattr(dataset, "dataset"):
        return inner_datasets(dataset.dataset)
    if hasattr(dataset, "datasets"):
        return [inner for each in dataset.datasets for inner in inner_datasets(each)]
    return [dataset]


def _remembers_samples(dataset: Any) -> bool:
    waiting = [getattr(each, "pipeline", None) for each in inner_datasets(dataset)]
    while waiting:
        transform = waiting.pop()
        if getattr(transform, "remembers_samples", False):
            return True
        waiting += list(getattr(transform, "transforms", ()))
    return False


def _can_skip(dataloader: Any) -> bool:
    return hasattr(dataloader.batch_sampler, "skip_batches") or hasattr(dataloader.sampler, "skip")
