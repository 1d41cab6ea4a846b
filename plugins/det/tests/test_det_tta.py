"""DetTTAModel: boxes of flipped and scaled views as one prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mimctl.engine.data import pseudo_collate
from mimctl.engine.data.transform import Compose
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.structures import InstanceData
from mimctl.errors import MimctlError
from mimctl.vision.structures import DetDataSample
from mimctl_det.models.test_time_augs.det_tta import DetTTAModel

TTA_CFG = {"nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 3}


class Stepping(nn.Module):
    """Stands for a detector whose predictions are given."""

    def test_step(self, data: Any) -> list[DetDataSample]:
        return list(data)


def view(boxes: list[list[float]], scores: list[float], labels: list[int], flip: str | None = None) -> DetDataSample:
    sample = DetDataSample(
        metainfo={"ori_shape": (50, 100), "flip": flip is not None, "flip_direction": flip, "img_id": 7}
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.long),
    )
    return sample


def merged(*views: DetDataSample, **cfg: Any) -> InstanceData:
    [sample] = DetTTAModel(Stepping(), tta_cfg={**TTA_CFG, **cfg}).merge_preds([views])
    assert sample.img_id == 7
    found: InstanceData = sample.pred_instances
    return found


@pytest.mark.parametrize(
    ("direction", "seen"),
    [
        ("horizontal", [60.0, 5.0, 90.0, 25.0]),
        ("vertical", [10.0, 25.0, 40.0, 45.0]),
        ("diagonal", [60.0, 25.0, 90.0, 45.0]),
    ],
)
def test_a_flipped_box_falls_on_its_own(direction: str, seen: list[float]) -> None:
    upright = view([[10.0, 5.0, 40.0, 25.0]], [0.9], [1])
    found = merged(upright, view([seen], [0.8], [1], direction))
    assert found.bboxes.tolist() == [[10.0, 5.0, 40.0, 25.0]]
    assert found.scores.tolist() == [pytest.approx(0.9)]


def test_classes_do_not_suppress_each_other_and_the_best_are_kept() -> None:
    box = [10.0, 5.0, 40.0, 25.0]
    found = merged(view([box, box], [0.5, 0.6], [0, 1]), view([[60.0, 5.0, 90.0, 25.0]], [0.7], [2], "horizontal"))
    assert found.labels.tolist() == [2, 1, 0]
    assert found.scores.tolist() == [pytest.approx(each) for each in (0.7, 0.6, 0.5)]
    assert merged(view([box, box], [0.5, 0.6], [0, 1]), max_per_img=1).labels.tolist() == [1]


def test_nothing_found_in_any_view_is_nothing() -> None:
    assert len(merged(view([], [], []), view([], [], [], "horizontal"))) == 0


def test_masks_are_refused() -> None:
    sample = view([[0.0, 0.0, 1.0, 1.0]], [0.5], [0])
    sample.pred_instances.masks = torch.zeros(1, 50, 100)
    with pytest.raises(MimctlError, match="masks"):
        merged(sample)


def test_the_configs_of_rtmdet_see_an_image_six_ways(
    own_config: Callable[[str], Any], build: Callable[..., Any], tmp_path: Path
) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    config = own_config("rtmdet/rtmdet_tiny_8xb32-300e_coco.py").to_dict()
    torch.manual_seed(0)
    detector = build(own_config("rtmdet/rtmdet_tiny_8xb32-300e_coco.py")).eval()
    for conv in (*detector.bbox_head.rtm_cls, *detector.bbox_head.rtm_reg):
        torch.nn.init.ones_(conv.bias)  # so that something is found, and has a size
    # The views of the config, smaller: what is looked at is whether they meet again.
    resize, _, [pad], *_ = config["tta_pipeline"][1]["transforms"]
    pad["size"] = (192, 192)
    for step, size in zip(resize, (128, 64, 192), strict=True):
        step["scale"] = (size, size)
    with use_scope("det"):
        sample = Compose(config["tta_pipeline"])({"img_path": str(tmp_path / "a.png"), "img_id": 1, "instances": []})
        model = DetTTAModel(detector, tta_cfg=config["tta_model"]["tta_cfg"])
    batch = pseudo_collate([sample])
    assert len(batch["inputs"]) == 6
    with torch.no_grad():
        [found] = model.test_step(batch)
    boxes: Tensor = found.pred_instances.bboxes
    scores = found.pred_instances.scores
    assert 0 < len(boxes) <= 100
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert boxes.min() > -80
    assert boxes.max() < 160, "boxes lie in the image's own size"
