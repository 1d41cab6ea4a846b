"""VOCMetric on cases small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mimctl.errors import ConfigError
from mimctl_det.evaluation import VOCMetric
from mimctl_det.evaluation.voc_metric import average_precision, match

TRUTH = [0, 0, 9, 9]  # ten pixels each way


def sample(found: list[Any], truth: list[Any], image_id: int = 0) -> dict[str, Any]:
    """Return a sample; predictions are (box, score, label), truth (box, label, ignore flag)."""
    return {
        "img_id": image_id,
        "ori_shape": (100, 100),
        "pred_instances": {
            "bboxes": torch.tensor([each[0] for each in found], dtype=torch.float32).reshape(-1, 4),
            "scores": torch.tensor([each[1] for each in found], dtype=torch.float32),
            "labels": torch.tensor([each[2] for each in found], dtype=torch.int64),
        },
        "raw_instances": [{"bbox": box, "bbox_label": label, "ignore_flag": flag} for box, label, flag in truth],
    }


def evaluate(samples: list[Any], **options: Any) -> dict[str, float]:
    metric = VOCMetric(**options)
    metric.dataset_meta = {"classes": ("a", "b")}
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_a_wrong_box_above_a_right_one_halves_the_precision() -> None:
    far = [50, 50, 59, 59]
    found = evaluate([sample([(far, 0.9, 0), (TRUTH, 0.8, 0)], [(TRUTH, 0, 0)])], eval_mode="area")
    assert found == {"pascal_voc/mAP": 0.5, "pascal_voc/AP50": 0.5}


def test_half_of_the_objects_found_gives_half_the_area_and_six_of_eleven_points() -> None:
    other = [50, 50, 59, 59]
    samples = [sample([(TRUTH, 0.9, 0)], [(TRUTH, 0, 0), (other, 0, 0)])]
    assert evaluate(samples, eval_mode="area")["pascal_voc/mAP"] == pytest.approx(0.5)
    assert evaluate(samples, eval_mode="11points")["pascal_voc/mAP"] == pytest.approx(6 / 11)


def test_a_second_box_on_an_object_is_wrong_and_one_on_an_ignored_object_does_not_count() -> None:
    boxes = np.array([TRUTH, TRUTH, [50, 50, 59, 59], [80, 80, 89, 89]], np.float64)
    truth = np.array([TRUTH, [50, 50, 59, 59]], np.float64)
    assert match(boxes, truth, np.array([False, True]), 0.5).tolist() == [1, -1, 0, -1]


def test_classes_without_objects_do_not_count_and_thresholds_are_averaged() -> None:
    near = [0, 0, 9, 6]  # 10 x 7 of 10 x 10 pixels: overlap 0.7
    found = evaluate([sample([(near, 0.9, 0)], [(TRUTH, 0, 0)])], iou_thrs=[0.5, 0.75])
    assert found == {"pascal_voc/mAP": 0.5, "pascal_voc/AP50": pytest.approx(1.0), "pascal_voc/AP75": 0.0}


def test_no_predictions_give_zero() -> None:
    assert evaluate([sample([], [(TRUTH, 0, 0)])])["pascal_voc/mAP"] == 0.0


def test_precision_takes_its_envelope() -> None:
    recall, precision = np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3])
    assert average_precision(recall, precision, "area") == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_unknown_options_are_refused() -> None:
    for options in ({"metric": "recall"}, {"eval_mode": "12points"}):
        with pytest.raises(ConfigError):
            VOCMetric(**options)  # type: ignore[arg-type]
