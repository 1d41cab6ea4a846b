"""Which paths a config's datasets read."""

from __future__ import annotations

import pytest

from mimctl.config import Config
from mimctl.errors import MimctlError
from mimctl.launch.experiments.data_files import data_paths, require_data


def test_paths_are_found_through_wrappers_and_joined_to_the_root():
    plain = {"data_root": "d/", "ann_file": "a.json", "data_prefix": {"img": "i/", "seg_suffix": ".png"}}
    dataset = {"type": "MultiImageMixDataset", "dataset": {"type": "ConcatDataset", "datasets": [plain, plain]}}
    found = dict(data_paths(dataset, "x"))
    assert set(found) == {"d/a.json", "d/i"}
    assert found["d/a.json"] == "x.dataset.datasets.1.ann_file"


def test_a_root_counts_where_nothing_below_it_is_named():
    assert dict(data_paths({"type": "CIFAR10", "data_root": "data/cifar10", "data_prefix": ""}, "x")) == {
        "data/cifar10": "x.data_root"
    }
    assert list(data_paths({"type": "CIFAR10", "data_root": "s3://bucket/x"}, "x")) == []


def test_paths_of_other_file_systems_are_left_alone():
    assert list(data_paths({"data_root": "s3://bucket/x", "ann_file": "a.json"}, "x")) == []
    assert list(data_paths({"ann_file": "https://example.org/a.json"}, "x")) == []


def test_only_the_splits_that_the_action_reads_are_asked_for(tmp_path):
    config = Config({"test_dataloader": {"dataset": {"ann_file": str(tmp_path / "gone.json")}}})
    require_data(config, "train")
    with pytest.raises(MimctlError) as caught:
        require_data(config, "test")
    assert caught.value.details["missing"] == [str(tmp_path / "gone.json")]
