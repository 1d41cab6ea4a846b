"""Whole pipelines of OpenMMLab's configs on real pictures: packing, mixing datasets, workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimctl.config import Config
from mimctl.engine.data import build_dataloader
from mimctl.engine.lookup.scopes import use_scope
from mimctl.vision.transforms import Resize
from mimctl_det.datasets import CocoDataset, MultiImageMixDataset, VOCDataset
from mimctl_det.transforms import FixScaleResize, PackDetInputs


def blood_cells(test_data: Path, split: str) -> dict[str, Any]:
    return {
        "type": "VOCDataset",
        "data_root": str(test_data / "bccd/BCCD"),
        "ann_file": f"ImageSets/Main/{split}.txt",
        "data_prefix": {"sub_data_root": ""},
        "metainfo": {"classes": ("RBC", "WBC", "Platelets")},
        "indices": 12,
    }


def test_pack_separates_ignored_objects() -> None:
    packed = PackDetInputs()(
        {
            "img": np.arange(24, dtype=np.uint8).reshape(2, 4, 3),
            "img_id": 3,
            "ori_shape": (2, 4),
            "gt_bboxes": np.array([[0, 0, 1, 1], [1, 1, 2, 2]], np.float32),
            "gt_bboxes_labels": np.array([4, 5]),
            "gt_ignore_flags": np.array([True, False]),
            "gt_seg_map": np.zeros((2, 4), np.uint8),
        }
    )
    assert packed["inputs"].dtype == torch.uint8
    assert packed["inputs"].is_contiguous()
    assert packed["inputs"][:, 0, 1].tolist() == [3, 4, 5]
    sample = packed["data_samples"]
    assert sample.gt_instances.labels.tolist() == [5]
    assert sample.ignored_instances.bboxes.tolist() == [[0, 0, 1, 1]]
    assert sample.gt_sem_seg.sem_seg.shape == (1, 2, 4)
    assert sample.metainfo == {"img_id": 3, "ori_shape": (2, 4)}


@pytest.mark.parametrize("workers", [0, 1])
def test_rtmdets_training_pipeline_runs_unmodified(
    test_data: Path, upstream: Callable[[str], Config], workers: int
) -> None:
    loader_cfg = upstream("rtmdet/rtmdet_s_8xb32-300e_coco.py").to_dict()["train_dataloader"]
    pipeline = loader_cfg["dataset"]["pipeline"]
    loader_cfg.update(dataset={**blood_cells(test_data, "train"), "pipeline": pipeline}, batch_size=6)
    with use_scope("mmdet"):
        loader = build_dataloader({**loader_cfg, "num_workers": workers}, seed=0)
        batches = list(loader)
    assert len(batches) == 2
    for batch in batches:
        for image, sample in zip(batch["inputs"], batch["data_samples"], strict=True):
            assert image.shape == (3, 640, 640)
            boxes = sample.gt_instances.bboxes
            assert boxes.dtype == torch.float32
            assert ((boxes >= 0) & (boxes <= 640)).all()
            assert len(boxes) == len(sample.gt_instances.labels) > 0


def test_rtmdets_test_pipeline_keeps_the_truth_in_original_pixels(
    test_data: Path, upstream: Callable[[str], Config]
) -> None:
    pipeline = upstream("rtmdet/rtmdet_s_8xb32-300e_coco.py").to_dict()["test_pipeline"]
    cfg = {key: value for key, value in blood_cells(test_data, "val").items() if key != "type"}
    with use_scope("mmdet"):
        dataset = VOCDataset(**cfg, pipeline=pipeline, test_mode=True)
    sample = dataset[0]["data_samples"]
    assert sample.ori_shape == (480, 640)
    assert sample.scale_factor == (1.0, 1.0)
    np.testing.assert_allclose(
        sample.gt_instances.bboxes.numpy(), [each["bbox"] for each in sample.raw_instances], rtol=0
    )


def test_test_time_augmentation_of_rtmdet_packs_every_view(test_data: Path, upstream: Callable[[str], Config]) -> None:
    pipeline = upstream("rtmdet/rtmdet_s_8xb32-300e_coco.py").to_dict()["tta_pipeline"]
    cfg = {key: value for key, value in blood_cells(test_data, "val").items() if key != "type"}
    with use_scope("mmdet"):
        views = VOCDataset(**cfg, pipeline=pipeline, test_mode=True)[0]
    assert [tuple(each.shape) for each in views["inputs"]] == [(3, 960, 960)] * 6
    assert [each.flip for each in views["data_samples"]] == [True, False] * 3


def test_a_mixing_dataset_gives_transforms_the_samples_they_ask_for(test_data: Path) -> None:
    inner = {
        **blood_cells(test_data, "train"),
        "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}],
    }
    steps = [
        {"type": "Mosaic", "img_scale": (160, 160)},
        {"type": "MixUp", "img_scale": (160, 160), "ratio_range": (0.8, 1.6)},
        {"type": "PackDetInputs"},
    ]
    with use_scope("det"):
        mixed = MultiImageMixDataset(inner, steps)
        assert mixed[0]["inputs"].shape == (3, 320, 320)
        mixed.update_skip_type_keys(["Mosaic"])
        assert mixed[0]["inputs"].shape == (3, 480, 640)


def test_yoloxs_training_pipeline_runs_unmodified(test_data: Path, upstream: Callable[[str], Config]) -> None:
    loader_cfg = upstream("yolox/yolox_s_8xb8-300e_coco.py").to_dict()["train_dataloader"]
    inner = loader_cfg["dataset"]["dataset"]
    loader_cfg["dataset"]["dataset"] = {**blood_cells(test_data, "train"), "pipeline": inner["pipeline"]}
    with use_scope("mmdet"):
        loader = build_dataloader({**loader_cfg, "num_workers": 0}, seed=0)
        batch = next(iter(loader))
    assert len(batch["inputs"]) == 8
    assert all(image.shape == (3, 640, 640) and image.dtype == torch.uint8 for image in batch["inputs"])
    assert sum(len(sample.gt_instances.bboxes) for sample in batch["data_samples"]) > 0


def test_fix_scale_resize_cuts_off() -> None:
    sample = {"img": np.zeros((333, 500, 3), np.uint8)}
    options = {"scale": (99, 99), "keep_ratio": True}
    assert FixScaleResize(**options)(dict(sample))["img_shape"] == (65, 99)
    assert Resize(**options)(dict(sample))["img_shape"] == (66, 99)


def test_masks_travel_through_the_training_pipeline(test_data: Path) -> None:
    path = test_data / "mmdet/tests/data/coco_sample.json"
    pictures = sorted((test_data / "bccd/BCCD/JPEGImages").glob("*.jpg"))
    with use_scope("det"):
        dataset = CocoDataset(
            ann_file=str(path),
            metainfo={"classes": ("bus", "car")},
            pipeline=[
                lambda sample: {**sample, "img_path": str(pictures[0])},
                {"type": "LoadImageFromFile"},
                {"type": "LoadAnnotations", "with_mask": True},
                {"type": "Resize", "scale": (320, 320), "keep_ratio": True},
                {"type": "RandomFlip", "prob": 1.0},
                {"type": "Pad", "size_divisor": 32},
                {"type": "PackDetInputs"},
            ],
        )
    sample = dataset[0]["data_samples"]
    instances = sample.ignored_instances if len(sample.ignored_instances.bboxes) else sample.gt_instances
    assert instances.masks.masks.shape[1:] == (256, 320)
