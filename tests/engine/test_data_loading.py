"""Loaders: the same samples whatever the number of workers, resumed inside an epoch, and with options that fit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from mimctl.engine.data import (
    BaseDataset,
    DefaultSampler,
    RepeatDataset,
    SampleIndex,
    build_dataloader,
    current_epoch,
    default_collate,
    pseudo_collate,
    skip_batches,
)
from mimctl.engine.structures import BaseDataElement
from mimctl.errors import ConfigError, MimctlError


class Numbers(BaseDataset):
    """The numbers 0 to 9."""

    METAINFO = {"classes": ("even", "odd")}

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"number": number} for number in range(10)]


class Foreign(Dataset[Any]):
    """A dataset that knows nothing of ours."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> dict[str, Any]:
        return draw({"number": index})


def draw(sample: dict[str, Any]) -> dict[str, Any]:
    return {**sample, "drawn": (random.random(), float(np.random.rand()), float(torch.rand(1)))}


def config(**options: Any) -> dict[str, Any]:
    return {
        "dataset": Numbers(pipeline=[draw]),
        "batch_size": 3,
        "num_workers": 0,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        **options,
    }


def drawn(loader: Any) -> list[tuple[int, Any]]:
    return [pair for batch in loader for pair in zip(batch["number"], zip(*batch["drawn"], strict=True), strict=True)]


@pytest.mark.parametrize("dataset", [Numbers(pipeline=[draw]), Foreign(), RepeatDataset(Numbers(pipeline=[draw]), 2)])
def test_random_numbers_do_not_depend_on_the_number_of_workers(dataset: Any) -> None:
    alone = drawn(build_dataloader(config(dataset=dataset), seed=5))
    helped = drawn(build_dataloader(config(dataset=dataset, num_workers=2, persistent_workers=True), seed=5))
    assert alone == helped
    assert len({numbers for _, numbers in alone}) == len(alone)


def test_each_epoch_draws_anew_and_each_seed_too() -> None:
    loader = build_dataloader(config(), seed=5)
    first = dict(drawn(loader))
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert all(first[number] != numbers for number, numbers in drawn(loader))
    assert dict(drawn(build_dataloader(config(), seed=6))) != first


def test_loading_leaves_the_main_generators_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = draw({})
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    drawn(build_dataloader(config(sampler={"type": "DefaultSampler", "shuffle": False}), seed=0))
    # one torch draw belongs to the DataLoader itself, which seeds its workers from it
    assert draw({})["drawn"][:2] == expected["drawn"][:2]


@pytest.mark.parametrize("batch_sampler", [None, "aspect"])
def test_an_epoch_continues_after_skipped_batches(batch_sampler: str | None) -> None:
    options: dict[str, Any] = {}
    if batch_sampler:
        options = {
            "batch_sampler": {"type": "AspectRatioBatchSampler"},
            "dataset": Sized(pipeline=[draw]),
        }
    whole = [batch["drawn"] for batch in build_dataloader(config(**options), seed=5)]
    loader = build_dataloader(config(**options), seed=5)
    skip_batches(loader, 2)
    assert [batch["drawn"] for batch in loader] == whole[2:]
    assert [batch["drawn"] for batch in loader] == whole


class Sized(Numbers):
    """Numbers with the size of a picture; every third is tall."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"number": n, "width": 10, "height": 20 if n % 3 == 0 else 5} for n in range(10)]


def test_an_infinite_sampler_goes_on_where_it_was_skipped_to() -> None:
    options = {"sampler": {"type": "InfiniteSampler", "shuffle": True}}
    loader = build_dataloader(config(**options), seed=5)
    batches = iter(loader)
    whole = [next(batches)["drawn"] for _ in range(8)]
    later = build_dataloader(config(**options), seed=5)
    skip_batches(later, 5)
    batches = iter(later)
    assert [next(batches)["drawn"] for _ in range(3)] == whole[5:]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("wrap", [lambda dataset: dataset, lambda dataset: RepeatDataset(dataset, 2)])
def test_an_error_in_a_worker_keeps_its_code_and_hints(workers: int, wrap: Any) -> None:
    def fail(sample: dict[str, Any]) -> dict[str, Any]:
        raise MimctlError("a.jpg is not a readable image", code="unreadable-image", causes=["empty"], hints=["mend it"])

    loader = build_dataloader(config(dataset=wrap(Numbers(pipeline=[fail])), num_workers=workers), seed=0)
    with pytest.raises(MimctlError) as caught:
        list(loader)
    assert caught.value.to_dict() == {
        "code": "unreadable-image",
        "message": "a.jpg is not a readable image",
        "causes": ["empty"],
        "hints": ["mend it"],
        "origin": None,
        "exit_code": 1,
        "details": {},
    }


def test_the_epoch_is_known_while_a_sample_is_prepared() -> None:
    seen: list[int | None] = []

    def note(sample: dict[str, Any]) -> dict[str, Any]:
        seen.append(current_epoch())
        return sample

    Numbers(pipeline=[note])[SampleIndex(0, 1, 7, 3)]
    assert seen == [7]
    assert current_epoch() is None


def test_options_for_workers_are_dropped_without_workers() -> None:
    loader = build_dataloader(config(persistent_workers=True, prefetch_factor=4, pin_memory=True), seed=0)
    assert loader.num_workers == 0
    assert not loader.persistent_workers


def test_num_batch_per_epoch_shortens_the_epoch() -> None:
    loader = build_dataloader(config(num_batch_per_epoch=2), seed=0)
    assert len(loader) == 2
    assert loader.dataset.metainfo["classes"] == ("even", "odd")  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["dataset", "sampler", "batch_size"])
def test_a_missing_key_is_named(key: str) -> None:
    cfg = config()
    del cfg[key]
    with pytest.raises(ConfigError, match=key):
        build_dataloader(cfg, seed=0)


def test_a_dataset_without_samples_is_refused() -> None:
    with pytest.raises(MimctlError) as caught:
        build_dataloader(config(dataset=Numbers(indices=0)), seed=0)
    assert caught.value.code == "empty-dataset"


def test_pseudo_collate_keeps_samples_of_different_size() -> None:
    samples = [{"inputs": torch.zeros(size), "pair": (size, "x"), "nested": {"a": size}} for size in (1, 2)]
    batch = pseudo_collate(samples)
    assert [each.shape[0] for each in batch["inputs"]] == [1, 2]
    assert batch["pair"] == ([1, 2], ["x", "x"])
    assert batch["nested"] == {"a": [1, 2]}


def test_default_collate_stacks_tensors_and_lists_elements() -> None:
    samples = [{"inputs": torch.full((2,), value), "data_samples": BaseDataElement()} for value in (1.0, 2.0)]
    batch = default_collate(samples)
    assert batch["inputs"].tolist() == [[1, 1], [2, 2]]
    assert isinstance(batch["data_samples"], list)


def test_default_sampler_covers_every_sample_and_fills_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimctl.engine.data.samplers.get_world_size", lambda: 4)
    shares = []
    for rank in range(4):
        monkeypatch.setattr("mimctl.engine.data.samplers.get_rank", lambda rank=rank: rank)
        shares.append(list(DefaultSampler(range(10), shuffle=True, seed=1)))
    assert [len(each) for each in shares] == [3, 3, 3, 3]
    assert {index for share in shares for index in share} == set(range(10))
    exact = [DefaultSampler(range(10), shuffle=False, round_up=False)]
    assert len(exact[0]) == len(list(exact[0])) == 2  # rank 3 of 4 has samples 3 and 7


def test_aspect_ratio_batches_hold_one_kind_until_the_rest() -> None:
    cfg = config(dataset=Sized(), batch_size=2, batch_sampler={"type": "AspectRatioBatchSampler"})
    batches = [batch["height"] for batch in build_dataloader(cfg, seed=2)]
    assert sum(len(batch) for batch in batches) == 10
    assert all(len(set(batch)) == 1 for batch in batches)
    dropping = build_dataloader({**cfg, "batch_size": 3, "drop_last": True}, seed=2)
    assert [len(batch["height"]) for batch in dropping] == [3, 3, 3]
    assert len(dropping) == 3
