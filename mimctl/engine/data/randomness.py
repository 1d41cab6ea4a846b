"""Random numbers of data loading: every sample draws from its own seed, derived from (seed, epoch, position).

A sampler yields `SampleIndex` values, which carry that triple; the outermost dataset seeds the global generators of
`random`, numpy and torch from it while it prepares the sample. So augmentation depends neither on the number of
workers or ranks nor on what was loaded before, and training can be resumed at any position without loading again.
A sampler that yields plain integers falls back to the seeds that `worker_init_fn` gives each worker.
"""

from __future__ import annotations

import contextlib
import contextvars
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

_EPOCH: contextvars.ContextVar[int | None] = contextvars.ContextVar("mimctl_sample_epoch", default=None)


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


def current_epoch() -> int | None:
    """Return the epoch of the sample that is being prepared; None outside of a seeded sample.

    Transforms with a cache empty it when the epoch changes, so that a resumed epoch starts like an uninterrupted one.
    """
    return _EPOCH.get()


@contextlib.contextmanager
def seeded(index: int) -> Iterator[None]:
    """Seed `random`, numpy and torch for one sample where `index` is a SampleIndex; else do nothing.

    Inside another seeded sample nothing happens either: the outermost dataset counts.

    In the main process (no worker) the generators' states are put back afterwards, so that dropout and whatever else
    the training draws is not tied to the data.
    """
    if not isinstance(index, SampleIndex) or _EPOCH.get() is not None:
        yield
        return
    kept = generator_states() if get_worker_info() is None else None
    words = np.random.SeedSequence([index.seed & 0xFFFFFFFF, index.epoch, index.position]).generate_state(4)
    np.random.seed(words)
    random.seed(int(words[0]) << 32 | int(words[1]))
    torch.default_generator.manual_seed(int(words[2]) << 32 | int(words[3]))
    token = _EPOCH.set(index.epoch)
    try:
        yield
    finally:
        _EPOCH.reset(token)
        if kept is not None:
            restore_generators(kept)


def generator_states() -> tuple[Any, Any, torch.Tensor]:
    """Return the states of the global generators of `random`, numpy and torch (CPU)."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def restore_generators(states: tuple[Any, Any, torch.Tensor]) -> None:
    """Put back what `generator_states` returned."""
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
