"""The engine's DataLoader: its workers hand over with each batch what their transforms remember, and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info

from mimctl.engine.data.failures import raised
from mimctl.engine.data.memory import Contents, contents_of, memories_of, remember
from mimctl.engine.reporting.log import get_logger


class Loader(DataLoader[Any]):
    """A DataLoader that raises the errors of its workers as they are, and knows what their memories hold.

    Batches go to the workers in turn. A pass that begins in the middle gives each worker the part of the one whose
    turn it would have been. `seed` and the epoch choose the seeds that torch gives its workers, so that starting a
    pass draws nothing from the generators of the training.
    """

    def __init__(self, dataset: Any, *, seed: int = 0, **options: Any) -> None:
        super().__init__(dataset, **{"generator": torch.Generator(), **options})
        self.seed = seed
        self._first = 0
        self._contents: list[Contents | None] = [None] * max(self.num_workers, 1)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        first, self._first = self._first, 0
        start = self.worker_init_fn if isinstance(self.worker_init_fn, FillMemories) else None
        if start is not None:
            start.first, start.contents = first, list(self._contents)
        batches = super().__iter__()
        if start is not None:
            start.first, start.contents = 0, []
        return _Pass(batches, self._contents, first)

    def start_seed(self, epoch: int) -> None:
        """Choose the seeds of the next pass's workers."""
        self.generator.manual_seed(self.seed + epoch)

    def begin_at(self, first: int, contents: list[Contents | None]) -> None:
        """Let the next pass begin with batch number `first`, the workers' memories holding `contents`."""
        self._first = first
        self._contents[:] = contents
        if self.num_workers == 0 and contents[0] is not None:
            _fill(self.dataset, contents[0])

    def contents(self) -> list[Contents | None]:
        """Return what the memory of each worker held after its last batch that was handed out."""
        return list(self._contents) if self.num_workers else [contents_of(self.dataset)]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A batch and what the memories of its worker hold after it."""

    batch: Any
    contents: Contents | None

    def pin_memory(self, device: Any = None) -> HandedOver:
        """Pin the batch (torch asks for this where batches go to a GPU)."""
        from torch.utils.data._utils import pin_memory

        pin: Any = pin_memory.pin_memory
        return HandedOver(pin(self.batch, device), self.contents)


@dataclass(frozen=True, slots=True)
class HandOver:
    """A collate function that adds, in a worker, what the worker's memories hold."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, samples: list[Any]) -> Any:
        """Return the batch, with the memories' contents where there are memories."""
        batch = self.collate(samples)
        worker = get_worker_info()
        if worker is None or not memories_of(worker.dataset):
            return batch
        return HandedOver(batch, contents_of(worker.dataset))


@dataclass(slots=True)
class FillMemories:
    """Start a worker as the config wants it, then fill its memories where a pass begins in the middle."""

    start: Callable[[int], None]
    first: int = 0
    contents: list[Contents | None] = field(default_factory=list)

    def __call__(self, worker_id: int) -> None:
        """Start worker number `worker_id`."""
        self.start(worker_id)
        contents = self.contents[(worker_id + self.first) % len(self.contents)] if self.contents else None
        worker = get_worker_info()
        if contents is not None and worker is not None:
            _fill(worker.dataset, contents)


class _Pass(Iterator[Any]):
    def __init__(self, batches: Iterator[Any], contents: list[Contents | None], number: int) -> None:
        self._batches, self._contents, self._number = batches, contents, number

    def __next__(self) -> Any:
        batch = next(self._batches)
        if isinstance(batch, HandedOver):
            self._contents[self._number % len(self._contents)] = batch.contents
            batch = batch.batch
        self._number += 1
        return raised(batch)

    def _shutdown_workers(self) -> None:
        shutdown = getattr(self._batches, "_shutdown_workers", None)
        if shutdown is not None:
            shutdown()


def _fill(dataset: Any, contents: Contents) -> None:
    if not remember(dataset, contents):
        get_logger().warning(
            "what transforms remembered of samples does not fit this pipeline or data: their memories begin empty"
        )
