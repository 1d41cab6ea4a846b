"""CocoMetric equals pycocotools on the same predictions, for boxes, masks and proposals."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimctl.errors import ConfigError, MimctlError
from mimctl_det.datasets import VOCDataset
from mimctl_det.evaluation import CocoMetric

CLASSES = ("zebra", "ant", "bee")
IDS = {"ant": 3, "bee": 17, "zebra": 4}
STATS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Return an annotation file of 12 images and predictions that partly hit its objects, with masks."""
    generator = np.random.default_rng(0)
    document: dict[str, Any] = {
        "images": [{"id": 100 + n, "file_name": f"{n}.jpg", "width": 240, "height": 200} for n in range(12)],
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in IDS.items()],
    }
    samples = []
    for image in document["images"]:
        truth = boxes(generator, 6)
        names = generator.choice(list(IDS), 6)
        for (x1, y1, x2, y2), name in zip(truth.tolist(), names, strict=True):
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": IDS[name],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
        document["annotations"][-1].update(iscrowd=1, segmentation={"size": [200, 240], "counts": [1000, 4000, 43000]})
        near = np.clip(truth + generator.normal(0, 4, truth.shape), 0, 200)
        found = np.concatenate([near, boxes(generator, 8)]).astype(np.float32)
        labels = [CLASSES.index(name) for name in names] + list(generator.integers(0, 3, 8))
        samples.append(prediction(image["id"], found, labels, generator.random(14)))
    path = tmp_path / "ann.json"
    path.write_text(json.dumps(document))
    return path, samples


def boxes(generator: Any, count: int) -> Any:
    corner = generator.uniform(0, 120, (count, 2))
    return np.concatenate([corner, corner + generator.uniform(8, 110, (count, 2)) * [1, 0.7]], 1).round(1)


def prediction(image_id: Any, found: Any, labels: Any, scores: Any) -> dict[str, Any]:
    masks = np.zeros((len(found), 200, 240), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, found.round().astype(int), strict=True):
        mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = True
    return {
        "img_id": image_id,
        "ori_shape": (200, 240),
        "pred_instances": {
            "bboxes": torch.from_numpy(found),
            "scores": torch.tensor(scores, dtype=torch.float32),
            "labels": torch.tensor(np.array(labels)),
            "masks": torch.from_numpy(masks),
        },
    }


def peer(path: Path, samples: list[dict[str, Any]], kind: str, limits: Any = (100, 300, 1000)) -> Any:
    """Return pycocotools' statistics; its twelve figures."""
    coco = pytest.importorskip("pycocotools.coco", reason="the peer of the comparison")
    from pycocotools import mask as coder
    from pycocotools.cocoeval import COCOeval

    rows = []
    for sample in samples:
        found = sample["pred_instances"]
        for box, score, label, mask in zip(
            found["bboxes"].double().numpy(),
            found["scores"].tolist(),
            found["labels"].tolist(),
            found["masks"],
            strict=True,
        ):
            row = {"image_id": sample["img_id"], "category_id": IDS[CLASSES[label]], "score": score}
            if kind == "segm":
                row["segmentation"] = coder.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
            else:
                row["bbox"] = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            rows.append(row)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(rows), "segm" if kind == "segm" else "bbox")
        evaluation.params.maxDets = list(limits)
        evaluation.params.useCats = int(kind != "proposal")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def evaluate(metric: CocoMetric, samples: list[dict[str, Any]], classes: Any = CLASSES) -> dict[str, float]:
    metric.dataset_meta = {"classes": classes}
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("limits", [(100, 300, 1000), (1, 10, 100)])
def test_figures_equal_pycocotools(scene: Any, kind: str, limits: Any) -> None:
    path, samples = scene
    found = evaluate(CocoMetric(str(path), metric=kind, proposal_nums=limits), samples)
    expected = peer(path, samples, kind, limits)
    assert list(found) == [f"coco/{kind}_{name}" for name in STATS]
    assert [found[f"coco/{kind}_{name}"] for name in STATS] == pytest.approx(expected[:6].tolist(), abs=1e-12)
    assert 0.1 < found[f"coco/{kind}_mAP_50"] < 1


def test_proposal_recalls_equal_pycocotools(scene: Any) -> None:
    path, samples = scene
    found = evaluate(CocoMetric(str(path), metric="proposal", proposal_nums=(1, 5, 10)), samples)
    expected = peer(path, samples, "proposal", (1, 5, 10))
    assert list(found.values()) == pytest.approx(expected[6:].tolist(), abs=1e-12)


def test_class_order_and_unsorted_limits_do_not_matter(scene: Any) -> None:
    path, samples = scene
    one = evaluate(CocoMetric(str(path), classwise=True, proposal_nums=(100, 1, 10)), samples)
    other = evaluate(CocoMetric(str(path), classwise=True, proposal_nums=(1, 10, 100)), samples)
    assert one == other
    assert {f"coco/{name}_precision" for name in CLASSES} < set(one)
    mean = np.mean([one[f"coco/{name}_precision"] for name in CLASSES])
    assert mean == pytest.approx(one["coco/bbox_mAP"])


def test_chosen_thresholds_and_items(scene: Any) -> None:
    path, samples = scene
    whole = evaluate(CocoMetric(str(path)), samples)
    found = evaluate(CocoMetric(str(path), iou_thrs=0.5, metric_items=["mAP"]), samples)
    assert found == {"coco/bbox_mAP": pytest.approx(whole["coco/bbox_mAP_50"])}


def test_no_predictions_give_zeros(scene: Any) -> None:
    path, samples = scene
    empty = [prediction(each["img_id"], np.zeros((0, 4), np.float32), [], []) for each in samples]
    for each in empty:
        each["pred_instances"]["labels"] = torch.zeros(0, dtype=torch.int64)
    found = evaluate(CocoMetric(str(path), metric=["bbox", "segm"]), empty)
    assert len(found) == 12
    assert set(found.values()) == {0.0}


def test_only_evaluated_images_count(scene: Any) -> None:
    path, samples = scene
    part = evaluate(CocoMetric(str(path)), samples[:4])
    document = json.loads(path.read_text())
    ids = {each["img_id"] for each in samples[:4]}
    document["images"] = [each for each in document["images"] if each["id"] in ids]
    document["annotations"] = [each for each in document["annotations"] if each["image_id"] in ids]
    path.write_text(json.dumps(document))
    assert list(part.values()) == pytest.approx(peer(path, samples[:4], "bbox")[:6].tolist(), abs=1e-12)


def test_an_image_that_the_file_does_not_know_is_named(scene: Any) -> None:
    path, samples = scene
    samples[0]["img_id"] = 5
    with pytest.raises(MimctlError, match="image 5 ") as caught:
        evaluate(CocoMetric(str(path)), samples)
    assert caught.value.code == "annotation-mismatch"


def test_format_only_writes_what_coco_tools_read(scene: Any, tmp_path: Path) -> None:
    path, samples = scene
    prefix = str(tmp_path / "out" / "test")
    assert (
        evaluate(CocoMetric(str(path), metric=["bbox", "segm"], format_only=True, outfile_prefix=prefix), samples) == {}
    )
    rows = json.loads(Path(f"{prefix}.bbox.json").read_text())
    assert len(rows) == 12 * 14
    assert {row["category_id"] for row in rows} == set(IDS.values())
    assert json.loads(Path(f"{prefix}.segm.json").read_text())[0]["segmentation"]["size"] == [200, 240]
    with pytest.raises(ConfigError, match="outfile_prefix"):
        CocoMetric(str(path), format_only=True)


@pytest.mark.parametrize("with_file", [True, False])
def test_truth_from_the_samples_equals_truth_from_the_file(scene: Any, with_file: bool) -> None:
    path, samples = scene
    document = json.loads(path.read_text())
    names = {number: name for name, number in IDS.items()}
    for sample in samples:
        sample["img_id"] = sample["img_id"] if with_file else f"image {sample['img_id']}"
        sample["raw_instances"] = [
            {
                "bbox": [
                    each["bbox"][0],
                    each["bbox"][1],
                    each["bbox"][0] + each["bbox"][2],
                    each["bbox"][1] + each["bbox"][3],
                ],
                "bbox_label": CLASSES.index(names[each["category_id"]]),
                "ignore_flag": each["iscrowd"],
            }
            for each in document["annotations"]
            if f"{each['image_id']}" in f"{sample['img_id']}"
        ]
    found = evaluate(CocoMetric(str(path) if with_file else None), samples)
    assert found["coco/bbox_mAP_50"] == pytest.approx(0.3, abs=0.25)
    if not with_file:
        for sample in samples:
            sample["img_id"] = int(sample["img_id"].removeprefix("image "))
        assert found == pytest.approx(evaluate(CocoMetric(str(path)), samples), abs=1e-9)


def test_metric_without_any_truth_says_so(scene: Any) -> None:
    with pytest.raises(ConfigError, match="ann_file"):
        evaluate(CocoMetric(), scene[1])


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="proposal_fast"):
        CocoMetric(metric="proposal_fast")


def test_perfect_predictions_on_real_blood_cells_reach_one(test_data: Path) -> None:
    dataset = VOCDataset(
        data_root=str(test_data / "bccd/BCCD"),
        ann_file="ImageSets/Main/val.txt",
        data_prefix={"sub_data_root": ""},
        metainfo={"classes": ("RBC", "WBC", "Platelets")},
        test_mode=True,
    )
    samples = []
    for place in range(len(dataset)):
        info = dataset.get_data_info(place)
        instances = info["instances"]
        samples.append(
            {
                "img_id": info["img_id"],
                "ori_shape": (info["height"], info["width"]),
                "raw_instances": instances,
                "pred_instances": {
                    "bboxes": torch.tensor([each["bbox"] for each in instances]),
                    "labels": torch.tensor([each["bbox_label"] for each in instances]),
                    "scores": torch.ones(len(instances)),
                },
            }
        )
    found = evaluate(CocoMetric(), samples, dataset.metainfo["classes"])
    assert found["coco/bbox_mAP"] == pytest.approx(1.0)
