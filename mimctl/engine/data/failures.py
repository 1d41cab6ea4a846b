"""Errors of samples, carried from a worker to the main process as they are.

torch rebuilds a worker's exception from the text of its traceback, which would lose the code, the causes and the hints
of a MimctlError, and hide what others say behind a text about workers; so a worker hands an error over in place of its
batch, and the loader raises it. Errors that cannot be pickled go torch's way.
"""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import get_worker_info

from mimctl.engine.data.randomness import SampleIndex, generators_kept


class InWorkerError(Exception):
    """Where in a worker an error came up: its cause in the main process. The text is the worker's traceback."""

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place
        """`file:line`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch that could not be loaded."""

    error: Exception
    traceback: str = ""
    place: str = ""


class FetchTogether:
    """Give a dataset `__getitems__`, which torch calls for a batch: an error in a worker becomes a Failure."""

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        # Samples that are seeded draw nothing from the training's generators; others are meant to.
        is_seeded = all(isinstance(each, SampleIndex) for each in indices)
        with generators_kept() if is_seeded else contextlib.nullcontext():
            return self._fetched(indices)

    def _fetched(self, indices: Sequence[int]) -> list[Any]:
        samples = []
        for index in indices:
            try:
                samples.append(self[index])  # type: ignore[index]
            except Exception as err:
                if get_worker_info() is None or not _survives(err):
                    raise
                last = traceback.extract_tb(err.__traceback__)[-1]
                text = "".join(traceback.format_exception(err))
                return [Failure(err, f"\n\nloading sample {int(index)}:\n{text}", f"{last.filename}:{last.lineno}")]
        return samples


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
        raise batch.error from InWorkerError(batch.traceback, batch.place)
    return batch


def _survives(err: Exception) -> bool:
    """Return whether the error arrives in another process as it is."""
    try:
        arrived = pickle.loads(pickle.dumps(err))
    except Exception:  # a class of the user's may do anything here
        return False
    return type(arrived) is type(err) and str(arrived) == str(err)
