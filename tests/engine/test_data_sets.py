"""Datasets: annotations read once, subsets, wrappers, and samples that the pipeline refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mimctl.engine.data import BaseDataset, ClassBalancedDataset, Compose, ConcatDataset, RepeatDataset
from mimctl.errors import ConfigError, MimctlError


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Return a folder with annotations of five samples, the last of class 1."""
    samples = [{"img_path": f"{number}.png", "label": int(number == 4)} for number in range(5)]
    (tmp_path / "train.json").write_text(json.dumps({"metainfo": {"task": "toy"}, "data_list": samples}))
    return tmp_path


class Labelled(BaseDataset):
    METAINFO = {"classes": ("common", "rare")}

    def get_cat_ids(self, idx: int) -> list[int]:
        return [self.get_data_info(idx)["label"]]


def labelled(folder: Path, **options: Any) -> Labelled:
    return Labelled(ann_file="train.json", data_root=str(folder), data_prefix={"img_path": "images"}, **options)


@pytest.mark.parametrize("serialize_data", [True, False])
def test_samples_have_whole_paths_and_an_index(annotations: Path, serialize_data: bool) -> None:
    dataset = labelled(annotations, serialize_data=serialize_data)
    assert len(dataset) == 5
    assert dataset.get_data_info(-1) == {"img_path": f"{annotations}/images/4.png", "label": 1, "sample_idx": 4}
    assert dataset.metainfo == {"classes": ("common", "rare"), "task": "toy"}
    with pytest.raises(IndexError):
        dataset.get_data_info(5)


def test_a_changed_sample_does_not_change_the_dataset(annotations: Path) -> None:
    dataset = labelled(annotations, serialize_data=False)
    dataset.get_data_info(0)["label"] = 9
    assert dataset.get_data_info(0)["label"] == 0


def test_given_metainfo_wins_and_a_file_of_names_is_read(annotations: Path) -> None:
    (annotations / "names.txt").write_text("a\nb\n")
    dataset = labelled(annotations, metainfo={"classes": str(annotations / "names.txt")})
    assert dataset.metainfo["classes"] == ["a", "b"]


@pytest.mark.parametrize(("indices", "labels"), [(2, [0, 0]), (-2, [0, 1]), ([4, 0], [1, 0])])
def test_a_subset_by_number_or_list(annotations: Path, indices: Any, labels: list[int]) -> None:
    chosen = labelled(annotations, indices=indices)
    later = labelled(annotations).get_subset(indices)
    for dataset in (chosen, later):
        assert [dataset.get_data_info(place)["label"] for place in range(len(dataset))] == labels


def test_lazy_datasets_read_nothing_until_asked(tmp_path: Path) -> None:
    dataset = Labelled(ann_file=str(tmp_path / "none.json"), lazy_init=True)
    with pytest.raises(MimctlError) as caught:
        len(dataset)
    assert caught.value.code == "missing-file"
    assert "none.json" in caught.value.message


@pytest.mark.parametrize("text", ['{"images": []}', "[1, 2]", '{"metainfo": '])
def test_a_malformed_annotation_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(MimctlError, match=r"bad\.json") as caught:
        Labelled(ann_file=str(tmp_path / "bad.json"))
    assert caught.value.code == "bad-annotations"


def test_a_refused_sample_is_replaced_in_training_and_an_error_in_testing(annotations: Path) -> None:
    def only_rare(sample: dict[str, Any]) -> dict[str, Any] | None:
        return sample if sample["label"] else None

    assert labelled(annotations, pipeline=[only_rare])[0]["label"] == 1
    with pytest.raises(MimctlError) as caught:
        labelled(annotations, pipeline=[only_rare], test_mode=True)[0]
    assert caught.value.code == "empty-sample"
    with pytest.raises(MimctlError, match="2 tries"):
        labelled(annotations, pipeline=[lambda sample: None], max_refetch=2)[0]


def test_the_pipeline_can_be_exchanged(annotations: Path) -> None:
    dataset = labelled(annotations)
    dataset.pipeline = Compose([lambda sample: "new"])
    assert dataset[0] == "new"


def test_concatenated_datasets_follow_each_other(annotations: Path) -> None:
    joined = ConcatDataset([labelled(annotations, indices=2), labelled(annotations)])
    assert len(joined) == 7
    assert [joined.get_cat_ids(place) for place in (0, 6, -1)] == [[0], [1], [1]]
    with pytest.raises(IndexError):
        joined[7]


def test_concatenated_datasets_must_agree_in_metainfo(annotations: Path) -> None:
    datasets = [labelled(annotations), labelled(annotations, metainfo={"dataset_type": "other"})]
    with pytest.raises(ConfigError, match="dataset_type"):
        ConcatDataset(datasets)
    assert len(ConcatDataset(datasets, ignore_keys=["dataset_type"])) == 10


def test_repeated_dataset_is_seen_several_times(annotations: Path) -> None:
    repeated = RepeatDataset(labelled(annotations), times=3)
    assert len(repeated) == 15
    assert repeated.get_data_info(14) == repeated.get_data_info(4)


def test_rare_classes_are_drawn_more_often(annotations: Path) -> None:
    # class 1 is in a fifth of the samples: sqrt(0.8 / 0.2) = 2 times; class 0 in 0.8: once
    balanced = ClassBalancedDataset(labelled(annotations), oversample_thr=0.8)
    assert balanced.repeat_indices == [0, 1, 2, 3, 4, 4]
