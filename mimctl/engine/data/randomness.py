"""Random numbers of data loading: every sample draws from its own seed, derived from (seed, epoch, position).

A sampler yields `SampleIndex` values, which carry that triple; the outermost dataset seeds the global generators of
`random`, numpy and torch from it while it prepares the sample. So augmentation depends neither on the number of
workers or ranks nor on what was loaded before, and training can be resumed at any position without loading again.
A sampler that yields plain integers falls back to the seeds that `worker_init_fn` gives each worker.

Where a sample is refused and another one tried in its place, the try counts as well: what a later try draws does not
depend on the tries before it.
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

_DRAW: contextvars.ContextVar[Draw | None] = contextvars.ContextVar("mimctl_draw", default=None)
_REPLAY: contextvars.ContextVar[Replay | None] = contextvars.ContextVar("mimctl_replay", default=None)
_IS_KEPT: contextvars.ContextVar[bool] = contextvars.ContextVar("mimctl_generators_are_kept", default=False)


class SampleIndex(int):
    """An index into a dataset that knows which draw of the training it is.

    `seed`, `epoch` and `position` (place in the epoch's global order, over all ranks) name the draw.
    """

    seed: int
    epoch: int
    position: int

    def __new__(cls, value: int, seed: int = 0, epoch: int = 0, position: int = 0) -> SampleIndex:
        self = super().__new__(cls, value)
        self.seed, self.epoch, self.position = seed, epoch, position
        return self

    def __reduce__(self) -> tuple[type[SampleIndex], tuple[int, int, int, int]]:
        return SampleIndex, (int(self), self.seed, self.epoch, self.position)


@dataclass(slots=True)
class Replay:
    """How a sample came to be, for preparing it once more: the try, and what it met in memories (`memory`)."""

    first_try: int
    met: Iterator[Any]
    lengths: dict[int, int] = field(default_factory=dict)
    """How many samples each memory (by its id) held at this point."""
    again: Callable[[Any], Any] = repr
    """Prepare a sample that was taken from a memory."""


@dataclass(slots=True)
class Draw:
    """The sample that is being prepared: which one, at which try, and what it met in memories since that try."""

    index: SampleIndex
    replay: Replay | None = None
    met: list[Any] = field(default_factory=list)
    first_try: int = 0
    _fetches: int = 0
    _retries: int = 0

    def tries(self, limit: int) -> Iterator[int]:
        """Yield the numbers of the tries at one fetch, the generators seeded anew for each but the first."""
        self._fetches += 1
        # A sample may be made of several fetches; the tries of the first stand alone, later ones build on it.
        is_first = self._fetches == 1
        for number in range(self.replay.first_try if self.replay and is_first else 0, limit):
            if number > 0:
                self._retries = number if is_first else self._retries + 1
                _seed(self.index, self._retries)
            if number > 0 and is_first:
                self.first_try = number
                self.met.clear()
            yield number


def current_draw() -> Draw | None:
    """Return the sample that is being prepared; None outside of a seeded sample."""
    return _DRAW.get()


def current_epoch() -> int | None:
    """Return the epoch of the sample that is being prepared; None outside of a seeded sample.

    Transforms with a cache empty it when the epoch changes, so that a resumed epoch starts like an uninterrupted one.
    """
    draw = _DRAW.get()
    return None if draw is None else draw.index.epoch


def tries(limit: int) -> Iterator[int]:
    """Yield 0, 1, … below `limit`: the tries at a sample, each of which draws numbers of its own."""
    draw = _DRAW.get()
    return iter(range(limit)) if draw is None else draw.tries(limit)


class seeded:  # noqa: N801 - a context manager, used as one
    """Seed `random`, numpy and torch for one sample where `index` is a SampleIndex; else do nothing.

    Inside another seeded sample nothing happens either: the outermost dataset counts.

    In the main process (no worker) the generators' states are put back afterwards, so that dropout and whatever else
    the training draws is not tied to the data.
    """

    __slots__ = ("_index", "_keeping", "_token")

    def __init__(self, index: int) -> None:
        self._index = index
        self._token: contextvars.Token[Draw | None] | None = None
        self._keeping: contextlib.AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        # This is on the way of every sample: a generator for a context manager would cost more than the seeds.
        if not isinstance(self._index, SampleIndex) or _DRAW.get() is not None:
            return
        if not _IS_KEPT.get():
            self._keeping = generators_kept()
            self._keeping.__enter__()
        _seed(self._index)
        self._token = _DRAW.set(Draw(self._index, _REPLAY.get()))

    def __exit__(self, *exc: object) -> None:
        if self._token is not None:
            _DRAW.reset(self._token)
        if self._keeping is not None:
            self._keeping.__exit__(None, None, None)


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put the generators of the main process back after the block; around a batch once, not for each sample in it."""
    if _IS_KEPT.get() or get_worker_info() is not None:
        yield
        return
    kept, token = generator_states(), _IS_KEPT.set(True)
    try:
        yield
    finally:
        _IS_KEPT.reset(token)
        restore_generators(kept)


@contextlib.contextmanager
def replaying(replay: Replay) -> Iterator[None]:
    """Let the next seeded sample be prepared as it was before, whatever is being prepared now."""
    kept = generator_states()
    tokens = _DRAW.set(None), _REPLAY.set(replay)
    try:
        yield
    finally:
        _DRAW.reset(tokens[0])
        _REPLAY.reset(tokens[1])
        restore_generators(kept)


def generator_states() -> tuple[Any, Any, torch.Tensor]:
    """Return the states of the global generators of `random`, numpy and torch (CPU)."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def restore_generators(states: tuple[Any, Any, torch.Tensor]) -> None:
    """Put back what `generator_states` returned."""
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def _seed(index: SampleIndex, retry: int = 0) -> None:
    # A hash of the four numbers: cheap beside a SeedSequence, and as far from the neighbours' seeds.
    numbers = struct.pack("<4q", index.seed & 0xFFFFFFFF, index.epoch, index.position, retry)
    for_numpy, for_python, for_torch = struct.unpack("<IQQ", hashlib.blake2b(numbers, digest_size=20).digest())
    np.random.seed(for_numpy)
    random.seed(for_python)
    torch.default_generator.manual_seed(for_torch)
