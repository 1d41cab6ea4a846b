"""A pass that goes on in the middle gives the batches of an uninterrupted one, and loads nothing a second time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler

from mimctl.engine.data import (
    BaseDataset,
    BaseTransform,
    ConcatDataset,
    InfiniteSampler,
    RandomApply,
    RepeatDataset,
    SampleIndex,
    build_dataloader,
)
from mimctl.engine.data.memory import contents_of, memories_of, remember
from mimctl.engine.random import rng_state, set_rng_state
from mimctl.engine.running.feed import Feed
from mimctl.vision.transforms import CachedMixUp, CachedMosaic

MakeLoader = Callable[[Path], DataLoader[Any]]
SIZE = 23


class Recorded(Dataset[Any]):
    """Samples that draw from every generator; each index that is loaded goes to a file, from whatever process."""

    metainfo: dict[str, Any] = {}

    def __init__(self, log: Path) -> None:
        self.log = log

    def __len__(self) -> int:
        return SIZE

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"width": 2, "height": 1 + int(index) % 3}

    def __getitem__(self, index: int) -> list[float]:
        with self.log.open("a") as stream:
            stream.write(f"{int(index)}\n")
        return [float(index), random.random(), float(np.random.rand()), float(torch.rand(()))]


def ours(sampler: str, **options: Any) -> MakeLoader:
    """Return a function that makes a dataloader of the engine's."""

    def make(log: Path) -> DataLoader[Any]:
        cfg = {"dataset": Recorded(log), "sampler": {"type": sampler, "shuffle": True}, "batch_size": 3, **options}
        return build_dataloader({"collate_fn": list, **cfg}, seed=5)

    return make


def plain(**options: Any) -> MakeLoader:
    """Return a function that makes a dataloader as a script does."""

    def make(log: Path) -> DataLoader[Any]:
        return DataLoader(Recorded(log), batch_size=3, collate_fn=list, **{"shuffle": True, **options})

    return make


def with_generator(log: Path) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(8)
    return DataLoader(Recorded(log), batch_size=3, shuffle=True, collate_fn=list, generator=generator)


def weighted(log: Path) -> DataLoader[Any]:
    return plain(shuffle=False, sampler=WeightedRandomSampler([1.0 + each for each in range(SIZE)], SIZE))(log)


def one_by_one(log: Path) -> DataLoader[Any]:
    return DataLoader(Recorded(log), batch_size=None, shuffle=True)


WORKERS = {"num_workers": 2}
LOADERS: dict[str, MakeLoader] = {
    "default": ours("DefaultSampler"),
    "default, workers": ours("DefaultSampler", **WORKERS),
    "default, lasting workers": ours("DefaultSampler", **WORKERS, persistent_workers=True),
    "infinite": ours("InfiniteSampler"),
    "infinite, workers": ours("InfiniteSampler", **WORKERS),
    "aspect": ours("DefaultSampler", batch_sampler={"type": "AspectRatioBatchSampler"}),
    "aspect, workers": ours("DefaultSampler", batch_sampler={"type": "AspectRatioBatchSampler"}, **WORKERS),
    "aspect without end": ours("InfiniteSampler", batch_sampler={"type": "AspectRatioBatchSampler"}),
    "plain": plain(),
    "plain in order": plain(shuffle=False),
    "plain, own generator": with_generator,
    "plain, weighted": weighted,
    "plain, no batches": one_by_one,
}


class Training:
    """Take batches as an iteration loop does; the model draws random numbers of its own in between."""

    def __init__(self, loader: DataLoader[Any], state: tuple[Any, ...] | None = None) -> None:
        self.feed = Feed(loader)
        if state is None:
            torch.manual_seed(3), random.seed(3), np.random.seed(3)
        else:
            torch.manual_seed(99)
            self.feed.load_state_dict(state[0], state[1])
            set_rng_state(state[2])
        self.batches = self.feed.endless()

    def run(self, count: int) -> list[Any]:
        return [[next(self.batches), torch.rand(()).item()] for _ in range(count)]

    def state(self) -> tuple[Any, ...]:
        return self.feed.state_dict(), self.feed.rank_state(), rng_state()


def interrupted(make: MakeLoader, folder: Path, *, done: int, more: int) -> tuple[list[Any], list[Any], list[int]]:
    """Return `more` batches after `done`, those of a training resumed there, and what that one loaded."""
    whole = Training(make(folder / "first"))
    whole.run(done)
    state = whole.state()
    expected = whole.run(more)
    whole.feed.stop()
    rest = Training(make(folder / "second"), state)
    found = rest.run(more)
    rest.feed.stop()
    log = folder / "second"
    return expected, found, [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.mark.parametrize("done", [5, 8, 17])
@pytest.mark.parametrize("name", LOADERS)
def test_a_pass_goes_on_without_loading_what_was_consumed(tmp_path: Path, name: str, done: int) -> None:
    expected, found, loaded = interrupted(LOADERS[name], tmp_path, done=done, more=9)
    assert found == expected
    samples = [sample for (_, batch), _ in expected for sample in (batch if isinstance(batch[0], list) else [batch])]
    wanted = [int(sample[0]) for sample in samples]
    if "workers" in name:  # which load ahead of the training
        assert set(wanted) <= set(loaded)
        assert len(wanted) <= len(loaded) <= len(wanted) + 4 * 3
    else:
        assert loaded == wanted


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("done", [8, 13])
def test_order_of_a_plain_dataloader_with_workers_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, done: int, lasting: bool
) -> None:
    # Workers that last are started in the first pass alone: what starting them draws must not be drawn again.
    make = plain(num_workers=1, persistent_workers=lasting)
    expected, found, loaded = interrupted(make, tmp_path, done=done, more=6)
    for one, other in zip(expected, found, strict=True):
        assert one[0][0] == other[0][0]
        assert [int(sample[0]) for sample in one[0][1]] == [int(sample[0]) for sample in other[0][1]]
        assert one[1] == other[1]
    assert len(loaded) <= 6 * 3 + 2 * 3
    warned = [record.message for record in caplog.records if "no seeds of their own" in record.message]
    assert len(warned) == (done != 8)


class Endless(IterableDataset[Any]):
    """A stream, which has no indices."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __iter__(self) -> Iterator[int]:
        return iter(range(40))


def test_a_stream_is_read_again_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def make(log: Path) -> DataLoader[Any]:
        return DataLoader(Endless(log), batch_size=3, collate_fn=list)

    expected, found, _ = interrupted(make, tmp_path, done=4, more=5)
    assert found == expected
    assert "4 batches are loaded again to go on in the middle of an epoch: an IterableDataset has no indices" in [
        record.message for record in caplog.records
    ]


def test_infinite_order_is_reached_by_rounds() -> None:
    far = 10**7
    [walked, jumped] = [build_dataloader(cfg(), seed=5).sampler for _ in range(2)]
    assert isinstance(jumped, InfiniteSampler)
    behind = list(itertools.islice(walked, 100, 110))
    jumped.skip(100)
    found = list(itertools.islice(jumped, 10))
    assert found == behind
    assert [each.position for each in found] == list(range(100, 110))
    jumped.skip(far)
    assert next(iter(jumped)).position == 110 + far


def cfg() -> dict[str, Any]:
    return {"dataset": [0] * SIZE, "sampler": {"type": "InfiniteSampler"}, "batch_size": 3}


# Transforms that remember samples


class Picture(BaseTransform):
    """Make the picture of a sample, a constant with noise, and record that it was loaded."""

    def __init__(self, log: str) -> None:
        self.log = log

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        with Path(self.log).open("a") as stream:
            stream.write(f"{results['sample_idx']}\n")
        value = 10 * results["sample_idx"] + random.randint(0, 9)
        boxes = np.array([[2, 2, 10, 10]] if results["sample_idx"] % 3 else [], np.float32).reshape(-1, 4)
        return {
            **results,
            "img": np.full((16, 16, 3), value % 256, np.uint8),
            "img_shape": (16, 16),
            "gt_bboxes": boxes,
            "gt_bboxes_labels": np.full(len(boxes), results["sample_idx"]),
            "gt_ignore_flags": np.zeros(len(boxes), bool),
        }


class Refuse(BaseTransform):
    """Refuse three samples in ten, by chance."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        return results if random.random() < 0.7 else None


class Pack(BaseTransform):
    """Keep what a comparison needs."""

    def transform(self, results: dict[str, Any]) -> list[Any]:
        noise = random.random()
        return [results["sample_idx"], results["img"].tolist(), results["gt_bboxes"].tolist(), noise]


class Scene(BaseDataset):
    """Pictures without files."""

    def __init__(self, log: Path, size: int = 40, pipeline: Sequence[Any] = ()) -> None:
        self.size = size
        super().__init__(pipeline=[Picture(str(log)), *pipeline, Pack()])

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{} for _ in range(self.size)]


def mixing(*, sampler: str, workers: int, refuse: bool = False, joined: bool = False) -> MakeLoader:
    """Return a function that makes a dataloader over RTMDet's kind of pipeline: cached mosaic, then cached mix-up."""

    def pipeline() -> list[Any]:
        mosaic = CachedMosaic(img_scale=(16, 16), max_cached_images=6)
        mix = CachedMixUp(img_scale=(32, 32), ratio_range=(1.0, 1.0), max_cached_images=5)
        return [mosaic, *([Refuse()] if refuse else []), RandomApply([mix], prob=0.9)]

    def make(log: Path) -> DataLoader[Any]:
        dataset: Any = Scene(log, pipeline=pipeline())
        if joined:
            dataset = ConcatDataset([Scene(log, 13, pipeline()), RepeatDataset(Scene(log, 9, pipeline()), times=3)])
        cfg = {"dataset": dataset, "sampler": {"type": sampler}, "batch_size": 2, "num_workers": workers}
        return build_dataloader({**cfg, "collate_fn": list}, seed=5)

    return make


MIXING = {
    "an epoch": mixing(sampler="DefaultSampler", workers=0),
    "an epoch, workers": mixing(sampler="DefaultSampler", workers=2),
    "no end": mixing(sampler="InfiniteSampler", workers=0),
    "no end, workers": mixing(sampler="InfiniteSampler", workers=2),
    "refusals": mixing(sampler="InfiniteSampler", workers=0, refuse=True),
    "joined sets": mixing(sampler="DefaultSampler", workers=0, refuse=True, joined=True),
}


@pytest.mark.parametrize("done", [7, 16])
@pytest.mark.parametrize("name", MIXING)
def test_memories_of_transforms_are_filled_again_by_their_samples_alone(tmp_path: Path, name: str, done: int) -> None:
    expected, found, loaded = interrupted(MIXING[name], tmp_path, done=done, more=5)
    assert found == expected
    if "workers" not in name and name == "no end":
        # 6 of the mosaic, 5 of the mix-up with the three that each of them is made of, and 10 that are trained on.
        assert len(loaded) - 10 <= 6 + 5 * 4


def test_a_reference_stays_small_however_long_a_run_is(tmp_path: Path) -> None:
    training = Training(MIXING["refusals"](tmp_path / "log"))
    sizes = []
    for _ in range(8):
        training.run(30)
        sizes.append(len(repr(training.feed.rank_state()["memories"])))
    assert max(sizes) < 1.5 * sizes[0] < 2000


def test_memories_that_no_longer_fit_begin_empty_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = Training(MIXING["no end"](tmp_path / "first"))
    whole.run(9)
    changed = Training(mixing(sampler="InfiniteSampler", workers=2)(tmp_path / "second"), whole.state())
    changed.run(2)
    changed.feed.stop()
    assert "the memory of transforms begins empty: 1 workers filled it" in [each.message for each in caplog.records]


def test_a_memory_without_seeds_of_its_own_is_not_claimed_to_be_known(tmp_path: Path) -> None:
    dataset = Scene(tmp_path / "log", pipeline=[CachedMosaic(img_scale=(16, 16))])
    dataset[0], dataset[1]
    assert len(memories_of(dataset)[0]) == 2
    assert contents_of(dataset) is None


def test_remembering_leaves_generators_as_they_were(tmp_path: Path) -> None:
    [first, second] = [Scene(tmp_path / "log", pipeline=[CachedMosaic(img_scale=(16, 16))]) for _ in range(2)]
    for place in range(6):
        first[SampleIndex(place, 1, 2, place)]
    contents = contents_of(first)
    assert contents is not None
    before = random.getstate(), torch.get_rng_state().tolist()
    assert remember(second, contents)
    assert (random.getstate(), torch.get_rng_state().tolist()) == before
    for one, other in zip(memories_of(first)[0].samples, memories_of(second)[0].samples, strict=True):
        assert np.array_equal(one["img"], other["img"])
    assert contents_of(second) == contents
    assert not remember(Scene(tmp_path / "log"), contents)
