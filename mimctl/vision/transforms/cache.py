"""The images that cached mosaic and mix-up keep to combine with: the last ones of this epoch that passed by."""

from __future__ import annotations

import random
from typing import Any

from mimctl.engine.data.randomness import current_epoch
from mimctl.engine.data.transform import Sample
from mimctl.vision.transforms.instances import INSTANCE_KEYS


class SampleCache:
    """Up to `size` samples, each `img` with its objects; a new one pushes out a random one or the oldest.

    Every worker has its own. It is emptied when a new epoch begins, so that an epoch's augmentation depends on that
    epoch's samples only (and a resumed epoch equals an uninterrupted one). Arrays are kept by reference: transforms
    never write into them.
    """

    def __init__(self, size: int, *, random_pop: bool) -> None:
        self.size = size
        self.random_pop = random_pop
        self.samples: list[Sample] = []
        self._epoch: int | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def push(self, sample: Sample) -> None:
        """Add a sample and, where there are too many, drop one."""
        epoch = current_epoch()
        if epoch != self._epoch:
            self.samples.clear()
            self._epoch = epoch
        self.samples.append(sample)
        if len(self.samples) > self.size:
            self.samples.pop(random.randint(0, len(self.samples) - 1) if self.random_pop else 0)


def taken(results: Sample, **changed: Any) -> Sample:
    """Return the part of a sample that is combined with others: image and objects, some of it replaced."""
    return {key: results[key] for key in ("img", *INSTANCE_KEYS) if key in results} | changed
