"""What transforms remember of the samples that passed by, in a form that a checkpoint can hold.

A memory keeps each sample together with a reference: the draw that made it and what that draw itself took from
memories. A reference is a few numbers; from it the sample is prepared again exactly as it was, so that a resumed run
loads what its memories hold and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from mimctl.engine.data.randomness import Draw, Replay, SampleIndex, current_draw, replaying
from mimctl.engine.data.transform import Sample

Reference = list[Any]
"""[index, seed, epoch, position, try, met]: `met` holds, in turn, how many samples a memory had when this one was put
into it (an int), and the references of samples that were taken."""

Contents = list[list[Reference]]
"""The references that each memory of a dataset holds."""


class SampleCache:
    """Up to `size` samples; a new one pushes out a random one or the oldest.

    Every worker has its own. It is emptied when a new epoch begins, so that an epoch's augmentation depends on that
    epoch's samples only. Samples are kept by reference: transforms never write into their arrays. A transform keeps it
    as an attribute of its own, and puts a sample in before it takes others out.
    """

    def __init__(self, size: int, *, random_pop: bool) -> None:
        self.size = size
        self.random_pop = random_pop
        self.samples: list[Sample] = []
        self._references: list[Reference | None] = []
        self._epoch: int | None = None

    def __len__(self) -> int:
        replay = _replay_of(current_draw())
        return len(self.samples) if replay is None else replay.lengths.get(id(self), 0)

    def __getitem__(self, index: int) -> Sample:
        draw = current_draw()
        replay = _replay_of(draw)
        if replay is not None:
            return _taken_again(replay)
        if draw is not None:
            draw.met.append(self._references[index])
        return self.samples[index]

    def push(self, sample: Sample) -> None:
        """Add a sample and, where there are too many, drop one."""
        draw = current_draw()
        replay = _replay_of(draw)
        if replay is not None:
            self._push_again(sample, replay)
            return
        epoch = None if draw is None else draw.index.epoch
        if epoch != self._epoch:
            self.samples.clear()
            self._references.clear()
            self._epoch = epoch
        self._references.append(_reference(draw))
        if draw is not None:
            draw.met.append(len(self.samples))
        self.samples.append(sample)
        if len(self.samples) > self.size:
            place = self._place_to_drop(len(self.samples))
            del self.samples[place], self._references[place]

    @property
    def references(self) -> list[Reference] | None:
        """Return how each sample came to be; None where some came without a seed of its own."""
        known = [each for each in self._references if each is not None]
        return known if len(known) == len(self._references) else None

    def fill(self, samples: Sequence[Sample], references: Sequence[Reference]) -> None:
        """Hold these samples, made by these references."""
        self.samples, self._references = list(samples), list(references)
        self._epoch = references[0][2] if references else None

    def _push_again(self, sample: Sample, replay: Replay) -> None:
        before = next(replay.met, None)
        if before is None:
            raise _MadeAgainError(sample)
        if not isinstance(before, int):
            raise _MadeAgainError(None)
        if before + 1 > self.size:
            self._place_to_drop(before + 1)
        replay.lengths[id(self)] = min(before + 1, self.size)

    def _place_to_drop(self, count: int) -> int:
        return random.randint(0, count - 1) if self.random_pop else 0


def contents_of(dataset: Any) -> Contents | None:
    """Return what the memories of a dataset hold; None where it cannot be told."""
    references = [memory.references for memory in memories_of(dataset)]
    known = [each for each in references if each is not None]
    return known if len(known) == len(references) else None


def remember(dataset: Any, contents: Contents) -> bool:
    """Fill the memories of a dataset, each sample prepared once; return false, and fill none, where they do not fit."""
    memories = memories_of(dataset)
    if len(memories) != len(contents):
        return False
    made: dict[str, Sample | None] = {}

    def make(reference: Reference) -> Sample | None:
        key = repr(reference)
        if key not in made:
            made[key] = _make(dataset, reference, make)
        return made[key]

    filled = [[make(each) for each in references] for references in contents]
    if any(sample is None for samples in filled for sample in samples):
        return False
    for memory, samples, references in zip(memories, filled, contents, strict=True):
        memory.fill([sample for sample in samples if sample is not None], references)
    return True


def memories_of(dataset: Any) -> list[SampleCache]:
    """Return the memories of the transforms of a dataset and of those inside it, in a fixed order."""
    found: dict[int, SampleCache] = {}
    for transform in _transforms_of(dataset):
        found.update((id(each), each) for each in vars(transform).values() if isinstance(each, SampleCache))
    return list(found.values())


def forgets_on_resume(dataset: Any) -> bool:
    """Return whether a transform remembers samples in a way of its own, which no checkpoint can hold."""
    return any(
        getattr(transform, "remembers_samples", False)
        and not any(isinstance(each, SampleCache) for each in vars(transform).values())
        for transform in _transforms_of(dataset)
    )


def inner_datasets(dataset: Any) -> list[Any]:
    """Return the datasets inside wrappers and concatenations: those that load samples."""
    if hasattr(dataset, "dataset"):
        return inner_datasets(dataset.dataset)
    if hasattr(dataset, "datasets"):
        return [inner for each in dataset.datasets for inner in inner_datasets(each)]
    return [dataset]


class _MadeAgainError(BaseException):
    """Carries a sample out of the pipeline that made it again (None: it no longer does); nobody's to catch."""

    def __init__(self, sample: Sample | None) -> None:
        self.sample = sample


def _make(dataset: Any, reference: Reference, make: Any) -> Sample | None:
    index, seed, epoch, position, first_try, met = reference
    with replaying(Replay(first_try, iter(met), again=make)):
        try:
            dataset[SampleIndex(index, seed, epoch, position)]
        except _MadeAgainError as found:
            return found.sample
    return None


def _taken_again(replay: Replay) -> Sample:
    reference = next(replay.met, None)
    sample: Sample | None = replay.again(reference) if isinstance(reference, list) else None
    if sample is None:
        raise _MadeAgainError(None)
    return sample


def _reference(draw: Draw | None) -> Reference | None:
    if draw is None or None in draw.met:
        return None
    index = draw.index
    return [int(index), index.seed, index.epoch, index.position, draw.first_try, list(draw.met)]


def _replay_of(draw: Draw | None) -> Replay | None:
    return None if draw is None else draw.replay


def _transforms_of(dataset: Any) -> Iterator[Any]:
    own = getattr(dataset, "__dict__", {})
    yield from _within(own.get("pipeline"))
    for inner in (own.get("dataset"), *own.get("datasets", ())):
        if inner is not None:
            yield from _transforms_of(inner)


def _within(transform: Any) -> Iterator[Any]:
    if isinstance(transform, (list, tuple)):
        for each in transform:
            yield from _within(each)
    elif hasattr(transform, "__dict__"):
        yield transform
        yield from _within(vars(transform).get("transforms"))
