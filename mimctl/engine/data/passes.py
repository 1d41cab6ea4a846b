"""Passes over a dataloader, begun at any batch: what was consumed before is not loaded again.

Samplers of the engine skip by themselves. Of other dataloaders the stream of indices is drawn again from where the pass
began, up to the batch, and its samples are not asked for.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from mimctl.engine.data.handover import Loader
from mimctl.engine.data.memory import forgets_on_resume, memories_of
from mimctl.engine.random import preserved_rng, rng_state, set_rng_state
from mimctl.engine.reporting.log import get_logger

State = dict[str, Any]


def start_state(loader: DataLoader[Any]) -> State | None:
    """Return what the order of a pass that begins now comes from, None for samplers that can skip."""
    if can_skip(loader) and not forgets_on_resume(loader.dataset):
        return None
    return {"rng": rng_state(), "generators": [each.get_state() for each in _generators(loader)]}


def place_state(loader: DataLoader[Any], *, position: int, start: State | None) -> State:
    """Return what this rank needs, besides the position, to go on behind batch `position` of a pass.

    `start` is the `start_state` of that pass.
    """
    if position == 0:
        return {"generators": [each.get_state() for each in _generators(loader)]}
    state: State = {} if start is None else {"start": start}
    if isinstance(loader, Loader) and memories_of(loader.dataset):
        state["memories"] = loader.contents()
    return state


def begin_pass(loader: DataLoader[Any], *, epoch: int) -> Iterator[Any]:
    """Begin pass number `epoch` at its first batch."""
    if isinstance(loader, Loader):
        loader.start_seed(epoch)
        loader.begin_at(0, [None] * max(loader.num_workers, 1))
    if _would_be_running(loader, epoch) and not can_skip(loader) and _iterates_as_usual(loader):
        return _start_at(loader, _indices(loader))
    return iter(loader)


def go_on(loader: DataLoader[Any], *, epoch: int, position: int, state: State) -> Iterator[Any]:
    """Go on with pass number `epoch` behind its first `position` batches.

    The generators of this process are left as they are: they were restored for the training. `state` is what
    `place_state` returned on this rank, empty where it is not known.
    """
    if forgets_on_resume(loader.dataset) and _is_within_pass(loader, position):
        return _load_again(loader, epoch, position, state, "a transform remembers samples without a SampleCache")
    if isinstance(loader, Loader):
        loader.start_seed(epoch)
        loader.begin_at(position, _memories(loader, state))
    if can_skip(loader):
        skip_batches(loader, position)
        with _undrawn(loader):
            return iter(loader)
    if isinstance(loader.dataset, IterableDataset):
        return _load_again(loader, epoch, position, state, "an IterableDataset has no indices")
    if not _iterates_as_usual(loader):
        return _load_again(loader, epoch, position, state, f"{type(loader).__name__} iterates in its own way")
    _warn_of_workers(loader, position)
    return _start_at(loader, _indices_behind(loader, epoch, position, state.get("start")))


def skip_batches(loader: DataLoader[Any], batches: int) -> None:
    """Let the loader's next iteration start after `batches` batches, without loading those (resuming)."""
    batch_sampler: Any = loader.batch_sampler
    if hasattr(batch_sampler, "skip_batches"):
        batch_sampler.skip_batches(batches)
        return
    sampler: Any = loader.sampler
    if not hasattr(sampler, "skip"):
        raise TypeError(f"{type(sampler).__name__} cannot start inside an epoch: it has no method `skip`")
    sampler.skip(batches * (loader.batch_size or 1))


def can_skip(loader: Any) -> bool:
    """Return whether the loader's sampler, or batch sampler, begins at any place by itself."""
    return hasattr(loader.batch_sampler, "skip_batches") or hasattr(loader.sampler, "skip")


def restore_generators_of(loader: DataLoader[Any], state: State) -> None:
    """Give the generators that a dataloader was made with the states they had."""
    for generator, held in zip(_generators(loader), state.get("generators", ()), strict=False):
        generator.set_state(held.cpu())


def samplers_of(loader: Any) -> tuple[Any, ...]:
    """Return the sampler of a dataloader and the one inside its batch sampler."""
    return loader.sampler, getattr(loader.batch_sampler, "sampler", None)


def _start_at(loader: DataLoader[Any], indices: Iterator[Any]) -> Iterator[Any]:
    """Start the loader on an index stream that was begun already; no generator is drawn from."""
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    held = vars(loader)[name]
    begun = _Begun(indices, held)
    vars(loader)[name] = begun  # a DataLoader refuses to be changed by assignment
    try:
        with _undrawn(loader):
            return iter(loader)
    finally:
        vars(loader)[name] = held
        begun.indices = None


class _Begun:
    """A sampler whose first iteration goes on with a stream that was begun elsewhere.

    Workers that last keep it: their later passes are those of the sampler in whose place it stands.
    """

    def __init__(self, indices: Iterator[Any], sampler: Any) -> None:
        self.indices: Iterator[Any] | None = indices
        self._sampler = sampler

    def __iter__(self) -> Iterator[Any]:
        return iter(self._sampler) if self.indices is None else self.indices

    def __len__(self) -> int:
        return len(self._sampler)


def _indices(loader: DataLoader[Any]) -> Iterator[Any]:
    """Draw the indices of a pass from now on; the generators are drawn from at once."""
    indices = iter(loader.batch_sampler if loader.batch_sampler is not None else loader.sampler)
    first = next(indices, None)
    return indices if first is None else itertools.chain([first], indices)


def _indices_behind(loader: DataLoader[Any], epoch: int, position: int, start: State | None) -> Iterator[Any]:
    """Return the rest of the indices of a pass as they were drawn when it began."""
    with preserved_rng():
        if start is not None:
            set_rng_state(start["rng"])
            restore_generators_of(loader, start)
        if not _would_be_running(loader, epoch):
            # What torch draws first: the seed of the workers.
            torch.empty((), dtype=torch.int64).random_(generator=loader.generator)
        indices = _indices(loader)
        next(itertools.islice(indices, position, position), None)
    return indices


def _load_again(loader: DataLoader[Any], epoch: int, position: int, state: State, reason: str) -> Iterator[Any]:
    get_logger().warning("%d batches are loaded again to go on in the middle of an epoch: %s", position, reason)
    with preserved_rng():
        if "start" in state:
            set_rng_state(state["start"]["rng"])
            restore_generators_of(loader, state["start"])
        iterator = begin_pass(loader, epoch=epoch)
        for _ in range(position):
            next(iterator, None)
    return iterator


def _memories(loader: Loader, state: State) -> list[Any]:
    empty: list[Any] = [None] * max(loader.num_workers, 1)
    if not memories_of(loader.dataset):
        return empty
    held = state.get("memories")
    if held is None or len(held) != len(empty):
        reason = "the checkpoint does not say what it held" if held is None else f"{len(held)} workers filled it"
        get_logger().warning("the memory of transforms begins empty: %s", reason)
        return empty
    if loader.num_workers == 0 and held[0] is None:
        get_logger().warning("the memory of transforms begins empty: its samples had no seeds of their own")
    return list(held)


def _is_within_pass(loader: DataLoader[Any], position: int) -> bool:
    if position < len(loader):
        return True
    get_logger().warning("a transform remembers samples without a SampleCache: its memory begins empty")
    return False


def _iterates_as_usual(loader: DataLoader[Any]) -> bool:
    is_usual = type(loader).__iter__ in (DataLoader.__iter__, Loader.__iter__)
    return is_usual and not isinstance(loader.dataset, IterableDataset)


def _warn_of_workers(loader: DataLoader[Any], position: int) -> None:
    if loader.num_workers and not isinstance(loader, Loader) and position < len(loader):
        get_logger().warning(
            "the rest of this epoch may draw other random numbers in its %d loading processes than an uninterrupted "
            "run would have: the samples of this dataloader have no seeds of their own",
            loader.num_workers,
        )


def _would_be_running(loader: DataLoader[Any], epoch: int) -> bool:
    """Return whether an uninterrupted run would have started the workers of this pass in an earlier one."""
    return epoch > 0 and loader.persistent_workers and getattr(loader, "_iterator", None) is None


@contextlib.contextmanager
def _undrawn(loader: DataLoader[Any]) -> Iterator[None]:
    """Leave all generators as they were before the block."""
    held = [each.get_state() for each in _generators(loader)]
    try:
        with preserved_rng():
            yield
    finally:
        for generator, state in zip(_generators(loader), held, strict=True):
            generator.set_state(state)


def _generators(loader: Any) -> list[torch.Generator]:
    if isinstance(loader, Loader):
        return []
    holders = (loader, *samplers_of(loader))
    found = {id(each): each for each in (getattr(holder, "generator", None) for holder in holders) if each is not None}
    return [each for each in found.values() if isinstance(each, torch.Generator)]
