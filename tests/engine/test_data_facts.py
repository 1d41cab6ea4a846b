"""Datasets and their wrappers hold the samples that MMEngine 0.10.7's do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mimctl.engine.data import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset

ALL = list(range(7))


class Seven(BaseDataset):
    """Seven samples of three classes in turn."""

    METAINFO = {"classes": ("a", "b", "c")}

    def filter_data(self) -> list[dict[str, Any]]:
        most = (self.filter_cfg or {}).get("max_label", 9)
        return [each for each in self.data_list if each["label"] <= most]

    def get_cat_ids(self, idx: int) -> list[int]:
        return [self.get_data_info(idx)["label"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the annotation file."""
    samples = [{"img_path": f"{number}.png", "label": number % 3} for number in ALL]
    (tmp_path / "a.json").write_text(json.dumps({"metainfo": {"task": "toy"}, "data_list": samples}))
    return tmp_path


def seven(folder: Path, **options: Any) -> Seven:
    return Seven(ann_file="a.json", data_root=str(folder), data_prefix={"img_path": "i"}, **options)


def numbers(dataset: Any) -> list[int]:
    return [int(Path(dataset.get_data_info(index)["img_path"]).stem) for index in range(len(dataset))]


@pytest.mark.parametrize(
    ("indices", "expected"), [(3, [0, 1, 2]), (-2, [5, 6]), (99, ALL), ([5, 1], [5, 1]), ([], []), (0, []), (-1, [6])]
)
@pytest.mark.parametrize("serialize_data", [True, False])
def test_indices_and_subsets(folder: Path, indices: Any, expected: list[int], serialize_data: bool) -> None:
    whole = seven(folder, serialize_data=serialize_data)
    assert numbers(seven(folder, indices=indices, serialize_data=serialize_data)) == expected
    assert numbers(whole.get_subset(indices)) == expected
    assert numbers(whole) == ALL
    whole.get_subset_(indices)
    assert numbers(whole) == expected


def test_filters_come_before_indices_and_in_tests_too(folder: Path) -> None:
    chosen = {"max_label": 1}
    assert numbers(seven(folder, filter_cfg=chosen)) == [0, 1, 3, 4, 6]
    assert numbers(seven(folder, filter_cfg=chosen, test_mode=True)) == [0, 1, 3, 4, 6]
    assert numbers(seven(folder, filter_cfg=chosen, indices=3)) == [0, 1, 3]


def test_nothing_is_read_before_it_is_needed(folder: Path) -> None:
    dataset = seven(folder, lazy_init=True)
    assert not dataset._fully_initialized
    assert len(dataset) == 7
    assert dataset._fully_initialized
    assert dataset.get_data_info(-1)["sample_idx"] == 6


def test_wrappers_hold_the_samples_of_what_they_wrap(folder: Path) -> None:
    joined = ConcatDataset([seven(folder, indices=2), seven(folder)])
    assert numbers(joined) == [0, 1, *ALL]
    assert joined.get_data_info(-1)["img_path"].endswith("i/6.png")
    repeated = RepeatDataset(seven(folder, indices=3), times=2)
    assert numbers(repeated) == [0, 1, 2, 0, 1, 2]
    assert joined.metainfo == repeated.metainfo == {"classes": ("a", "b", "c"), "task": "toy"}
    for wrapper in (joined, repeated):
        with pytest.raises(NotImplementedError, match="inside"):
            wrapper.get_subset(1)


@pytest.mark.parametrize(("threshold", "times"), [(0.2, 1), (0.5, 2), (0.9, 2)])
def test_classes_are_balanced_by_their_frequency(folder: Path, threshold: float, times: int) -> None:
    balanced = ClassBalancedDataset(seven(folder), oversample_thr=threshold)
    assert balanced.repeat_indices == [number for number in ALL for _ in range(times)]
    assert [balanced.get_cat_ids(index) for index in range(len(balanced))] == [
        [each % 3] for each in balanced.repeat_indices
    ]


def test_wrappers_may_be_nested_and_lazy(folder: Path) -> None:
    inner = {"type": Seven, "ann_file": "a.json", "data_root": str(folder), "lazy_init": True, "indices": 2}
    nested = RepeatDataset(ConcatDataset([inner, inner], lazy_init=True), times=2, lazy_init=True)  # type: ignore[list-item]
    assert not nested._fully_initialized
    assert numbers(nested) == [0, 1, 0, 1] * 2
    assert nested.get_cat_ids(3) == [1]
