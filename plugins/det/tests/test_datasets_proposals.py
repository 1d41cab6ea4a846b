"""Proposals from a file reach every sample; pickles are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mimctl.errors import MimctlError
from mimctl_det.datasets.coco import CocoDataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = [{"id": each, "file_name": f"{each}.jpg", "width": 64, "height": 48} for each in (1, 2)]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 12], "area": 120, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 7, "bbox": [1, 2, 10, 12], "area": 120, "iscrowd": 0},
    ]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cat"}]}
    (tmp_path / "train.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def dataset(root: Path, proposal_file: str) -> CocoDataset:
    return CocoDataset(
        ann_file="train.json",
        data_root=str(root),
        data_prefix={"img": "train/"},
        metainfo={"classes": ("cat",)},
        proposal_file=proposal_file,
    )


def test_every_sample_has_its_proposals(root: Path) -> None:
    held = {"train/1.jpg": [[0, 0, 5, 5, 0.9], [1, 1, 6, 6, 0.5]], "train/2.jpg": []}
    (root / "proposals.json").write_text(json.dumps(held), encoding="utf-8")
    data = dataset(root, "proposals.json")
    np.testing.assert_array_equal(
        data.get_data_info(0)["proposals"], np.array([[0, 0, 5, 5, 0.9], [1, 1, 6, 6, 0.5]], np.float32)
    )
    assert data.get_data_info(1)["proposals"].shape == (0, 5)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("proposals.pkl", "", "unsafe-annotations"),
        ("proposals.json", "[]", "bad-annotations"),
        ("proposals.json", '{"train/1.jpg": []}', "bad-annotations"),
        ("proposals.json", '{"train/1.jpg": [[1, 2]], "train/2.jpg": []}', "bad-annotations"),
        ("absent.json", None, "missing-file"),
    ],
)
def test_a_wrong_file_is_refused(root: Path, name: str, text: str | None, code: str) -> None:
    if text is not None:
        (root / name).write_text(text, encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        dataset(root, name)
    assert caught.value.code == code
