"""Errors of samples, carried from a worker to the main process as they are.

torch rebuilds a worker's exception from the text of its traceback, which would lose the code, the causes and the hints
of a MimctlError; so a worker hands such an error over in place of its batch, and the loader raises it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import get_worker_info

from mimctl.errors import MimctlError


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch that could not be loaded."""

    error: MimctlError


class FetchTogether:
    """Give a dataset `__getitems__`, which torch calls for a batch: an error in a worker becomes a Failure."""

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        try:
            return [self[each] for each in indices]  # type: ignore[index]
        except MimctlError as err:
            if get_worker_info() is None:
                raise
            return [Failure(err)]


@dataclass(frozen=True, slots=True)
class PassFailures:
    """A collate function that hands failures on."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, samples: list[Any]) -> Any:
        """Return the batch, or the failure."""
        return samples[0] if samples and isinstance(samples[0], Failure) else self.collate(samples)


def raised(batch: Any) -> Any:
    """Return a batch; raise what a worker handed over in its place."""
    if isinstance(batch, Failure):
        raise batch.error
    return batch
