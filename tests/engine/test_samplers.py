"""The orders of samplers over ranks, epochs and seeds: those of MMEngine, MMDetection and MMPretrain, and resumed."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mimctl.engine.data import build_dataloader, skip_batches
from mimctl.engine.data.samplers import AspectRatioBatchSampler, DefaultSampler
from mimctl.engine.registry import DATA_SAMPLERS
from mimctl.errors import ConfigError
from tests.engine.ranks import on_ranks

FACTS = json.loads((Path(__file__).parent / "facts" / "sampler_orders.json").read_text(encoding="utf-8"))
RANKS = [(rank, size) for size in (1, 2, 3) for rank in range(size)]


class Classes:
    """Seven samples of four classes, one of which no sample has; every second is tall."""

    metainfo = {"classes": ("a", "b", "c", "d")}
    CLASSES = ([0], [0], [0, 1], [0], [3], [1], [0])

    def __init__(self, size: int = 7) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"number": int(index)}

    def get_cat_ids(self, index: int) -> list[int]:
        return self.CLASSES[index]

    def get_data_info(self, index: int) -> dict[str, int]:
        return {"width": 1, "height": 2 if index % 2 else 1}


class Joined(Classes):
    """Seven and three samples."""

    def __init__(self) -> None:
        super().__init__(10)
        self.datasets = [Classes(7), Classes(3)]
        self.cumulative_sizes = [7, 10]


DATASETS = {"D": Classes, "C": Joined}


def be_rank(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    """Let samplers that are made from now on be those of a rank."""
    for module in ("samplers", "epoch_samplers", "source_samplers"):
        monkeypatch.setattr(f"mimctl.engine.data.{module}.get_rank", lambda: rank)
        monkeypatch.setattr(f"mimctl.engine.data.{module}.get_world_size", lambda: size)


def made(fact: dict[str, Any]) -> Any:
    """Return the sampler of a fact, at its epoch."""
    dataset = DATASETS[fact["dataset"]]()
    sampler = DATA_SAMPLERS.build({"type": fact["type"], **fact["arguments"]}, dataset=dataset)
    sampler.set_epoch(fact["epoch"])
    return sampler


def first(order: Iterator[int], count: int | None) -> list[int]:
    """Return the first `count` indices, all where it is None."""
    return [int(each) for each in itertools.islice(order, count)]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact['type']}-{fact['arguments']}-{fact['epoch']}")
def test_orders_are_those_of_the_field(monkeypatch: pytest.MonkeyPatch, fact: dict[str, Any]) -> None:
    for rank, size in RANKS:
        be_rank(monkeypatch, rank, size)
        assert first(iter(made(fact)), fact["first"]) == fact["orders"][f"{rank} of {size}"]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact['type']}-{fact['arguments']}-{fact['epoch']}")
@pytest.mark.parametrize("skipped", [0, 1, 3])
def test_a_sampler_goes_on_behind_what_was_skipped(
    monkeypatch: pytest.MonkeyPatch, fact: dict[str, Any], skipped: int
) -> None:
    for rank, size in RANKS:
        be_rank(monkeypatch, rank, size)
        whole = made(fact)
        expected = [(int(each), each.epoch, each.position) for each in itertools.islice(whole, 12)]
        later = made(fact)
        later.skip(skipped)
        found = [(int(each), each.epoch, each.position) for each in itertools.islice(later, 12 - skipped)]
        assert found == expected[skipped:12]


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact["type"] != "InfiniteSampler"],
                         ids=lambda fact: f"{fact['type']}-{fact['arguments']}-{fact['epoch']}")  # fmt: skip
def test_no_two_samples_of_all_ranks_are_one_draw(monkeypatch: pytest.MonkeyPatch, fact: dict[str, Any]) -> None:
    places: list[int] = []
    for rank in range(3):
        be_rank(monkeypatch, rank, 3)
        places += [each.position for each in itertools.islice(made(fact), 12)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_share_all_samples(monkeypatch: pytest.MonkeyPatch, size: int, world_size: int, shuffle: bool) -> None:
    for round_up in (True, False):
        shares = []
        for rank in range(world_size):
            be_rank(monkeypatch, rank, world_size)
            sampler = DefaultSampler(range(size), shuffle=shuffle, seed=4, round_up=round_up)
            shares.append(first(iter(sampler), None))
            assert len(sampler) == len(shares[-1])
        seen = Counter(itertools.chain.from_iterable(shares))
        assert set(seen) == set(range(size)), "complete"
        if round_up:
            assert len({len(share) for share in shares}) == 1, "equal"
        else:
            assert set(seen.values()) == {1}, "disjoint"


def test_epochs_and_seeds_have_orders_of_their_own_and_epochs_add_to_the_seed() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = DefaultSampler(range(50), seed=seed)
        sampler.set_epoch(epoch)
        return first(iter(sampler), None)

    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 1) == order(2, 0)


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "expected"),
    [
        (2, False, [[1, 2], [0, 3], [5, 6], [7, 8], [4, 9], [10]]),
        (2, True, [[1, 2], [0, 3], [5, 6], [7, 8], [4, 9]]),
        (3, False, [[0, 3, 4], [1, 2, 5], [6, 7, 8], [9, 10]]),
        (3, True, [[0, 3, 4], [1, 2, 5], [6, 7, 8]]),
        (4, False, [[1, 2, 5, 6], [0, 3, 4, 9], [10, 7, 8]]),
        (4, True, [[1, 2, 5, 6], [0, 3, 4, 9]]),
        (5, False, [[1, 2, 5, 6, 7], [0, 3, 4, 9, 10], [8]]),
        (5, True, [[1, 2, 5, 6, 7], [0, 3, 4, 9, 10]]),
    ],
)
def test_batches_of_one_aspect_are_those_of_mmdet(batch_size: int, drop_last: bool, expected: list[list[int]]) -> None:
    class Sizes(Classes):
        def get_data_info(self, index: int) -> dict[str, int]:
            return {"width": 10, "height": 20 if index in (0, 3, 4, 9, 10) else 10}

    sampler = DefaultSampler(Sizes(11), shuffle=False)
    batches = AspectRatioBatchSampler(sampler, batch_size, drop_last)
    assert [[int(each) for each in batch] for batch in batches] == expected
    assert len(batches) == len(expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_inside_an_epoch_of_any_of_them(workers: int) -> None:
    for kind in ("ClassAwareSampler", "RepeatAugSampler", "SequentialSampler"):
        cfg = {"dataset": Classes(), "sampler": {"type": kind}, "batch_size": 2, "num_workers": workers}
        whole = [batch["number"] for batch in build_dataloader(cfg, seed=3)]
        later = build_dataloader(cfg, seed=3)
        skip_batches(later, 2)
        assert [batch["number"] for batch in later] == whole[2:]


def test_batches_hold_the_share_of_each_source_and_one_aspect() -> None:
    cfg = {"type": "GroupMultiSourceSampler", "batch_size": 5, "source_ratio": [2, 3]}
    sampler = DATA_SAMPLERS.build(cfg, dataset=Joined(), seed=1)
    draws = first(iter(sampler), 100)
    kinds = []
    for batch in _batched(draws, 5):
        assert [each >= 7 for each in batch] == [False, False, True, True, True]
        tall = {(each if each < 7 else each - 7) % 2 for each in batch}
        assert len(tall) == 1
        kinds += tall
    assert 0 < sum(kinds) < len(kinds)
    again = DATA_SAMPLERS.build(cfg, dataset=Joined(), seed=1)
    again.skip(35)
    assert first(iter(again), 65) == draws[35:]


def _batched(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@pytest.mark.parametrize(
    ("cfg", "dataset", "word"),
    [
        ({"type": "MultiSourceSampler", "batch_size": 2, "source_ratio": [1]}, Joined(), "source_ratio"),
        ({"type": "MultiSourceSampler", "batch_size": 2, "source_ratio": [1, 1]}, Classes(), "ConcatDataset"),
        ({"type": "ClassAwareSampler", "num_sample_class": 0}, Classes(), "num_sample_class"),
        ({"type": "SequentialSampler", "subsample_type": "sequental"}, Classes(), "sequental"),
    ],
)
def test_what_cannot_be_sampled_is_refused(cfg: dict[str, Any], dataset: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        DATA_SAMPLERS.build(cfg, dataset=dataset)


def test_a_source_without_samples_of_an_aspect_is_refused() -> None:
    joined = Joined()
    joined.datasets[1] = Classes(1)  # one wide sample alone
    with pytest.raises(ConfigError, match="dataset 1 has no tall sample"):
        DATA_SAMPLERS.build(
            {"type": "GroupMultiSourceSampler", "batch_size": 2, "source_ratio": [1, 1]}, dataset=joined
        )


def numbers_of_a_rank(rank: int, size: int, round_up: bool) -> list[int]:
    """Return what this rank's loader gives."""
    sampler = {"type": "DefaultSampler", "shuffle": True, "round_up": round_up}
    loader = build_dataloader({"dataset": Classes(size), "sampler": sampler, "batch_size": 2}, seed=7)
    return [number for batch in loader for number in batch["number"]]


@pytest.mark.parametrize("size", [1, 4, 7])
def test_two_real_ranks_share_what_one_has(size: int) -> None:
    alone = numbers_of_a_rank(0, size, True)
    for round_up in (True, False):
        shares = on_ranks(numbers_of_a_rank, size, round_up)
        dealt = [each for pair in itertools.zip_longest(*shares) for each in pair if each is not None]
        assert dealt[:size] == alone
