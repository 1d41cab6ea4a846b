"""RTMDet as a model: its three modes, batches of any truth, both heads, and that it learns."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.registry import MODELS
from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import DetDataSample, bbox_overlaps
from mimctl_det.models.dense_heads.base import select_scores
from mimctl_det.models.dense_heads.rtmdet_head import join_objectness
from mimctl_det.models.task_modules.points import MlvlPointGenerator

NANO = "rtmdet/rtmdet_nano_8xb32-300e_coco.py"


@pytest.fixture
def nano(own_config, build):
    torch.manual_seed(0)
    model = build(own_config(NANO), num_classes=20)
    model.init_weights()
    return model


def _batch(samples, batch=2, height=64, width=96):
    return {
        "inputs": [torch.randint(0, 255, (3, height, width), dtype=torch.uint8) for _ in range(batch)],
        "data_samples": samples(batch, height, width),
    }


def _give_boxes_a_size(model):
    for each in model.bbox_head.rtm_reg:
        torch.nn.init.constant_(each.bias, 1.0)


def test_class_scores_start_near_one_percent(nano):
    logits, _ = nano.eval()(torch.randn(1, 3, 64, 64), mode="tensor")
    assert [float(each.detach().sigmoid().mean()) for each in logits] == pytest.approx([0.01] * 3, rel=0.2)


def test_modes_give_losses_samples_and_raw_maps(nano, samples):
    batch = nano.data_preprocessor(_batch(samples), True)
    losses = nano.train()(**batch, mode="loss")
    assert {key: len(each) for key, each in losses.items()} == {"loss_cls": 3, "loss_bbox": 3}
    found = nano.eval()(**batch, mode="predict")
    assert found[0] is batch["data_samples"][0]
    assert {*found[0].pred_instances.keys()} == {"bboxes", "scores", "labels"}
    logits, distances = nano(batch["inputs"], mode="tensor")
    assert [tuple(each.shape) for each in logits] == [(2, 20, 8, 12), (2, 20, 4, 6), (2, 20, 2, 3)]
    assert [tuple(each.shape[:2]) for each in distances] == [(2, 4)] * 3
    with pytest.raises(ValueError, match="mode"):
        nano(batch["inputs"], mode="losses")


def test_every_parameter_learns_whatever_the_truth(nano, samples):
    for number in (0, 3):
        batch = _batch(samples)
        for sample in batch["data_samples"]:
            sample.gt_instances = sample.gt_instances[:number]
        nano.zero_grad()
        losses = nano(**nano.data_preprocessor(batch, True), mode="loss")
        nano.parse_losses(losses)[0].backward()
        assert all(each.grad is not None and each.grad.isfinite().all() for each in nano.parameters())
    assert float(sum(losses["loss_bbox"]).detach()) > 0


def test_half_precision_keeps_boxes_and_losses_in_float32(nano, samples):
    _give_boxes_a_size(nano)
    batch = nano.data_preprocessor(_batch(samples), True)
    exact = nano.parse_losses(nano.train()(**batch, mode="loss"))[0]
    with torch.autocast("cpu", torch.bfloat16):
        losses = nano(**batch, mode="loss")
        found = nano.eval()(**batch, mode="predict")[0].pred_instances
    assert all(each.dtype == torch.float32 for values in losses.values() for each in values)
    assert (found.bboxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
    assert float(nano.parse_losses(losses)[0].detach()) == pytest.approx(float(exact.detach()), rel=0.2)


def test_points_beyond_the_padded_image_are_not_judged(nano, samples):
    batch = nano.data_preprocessor(_batch(samples, 1, 64, 64), True)
    features = nano.extract_feat(batch["inputs"])
    for sample in batch["data_samples"]:
        sample.gt_instances = sample.gt_instances[:0]
    whole = nano.bbox_head.loss(features, batch["data_samples"])
    batch["data_samples"][0].set_metainfo({"pad_shape": (64, 32)})
    half = nano.bbox_head.loss(features, batch["data_samples"])
    logits = nano.bbox_head(features)[0][0]
    kept = logits[..., :4].sigmoid().pow(2) * torch.nn.functional.softplus(logits[..., :4])
    assert float(half["loss_cls"][0].detach()) == pytest.approx(float(kept.sum().detach()), rel=1e-4)
    assert float(half["loss_cls"][0].detach()) < float(whole["loss_cls"][0].detach())


def test_predictions_are_in_coordinates_of_the_original_image(nano, samples):
    _give_boxes_a_size(nano)
    inputs = torch.randn(1, 3, 64, 64)
    plain, scaled = samples(1, 64, 64), samples(1, 64, 64)
    scaled[0].set_metainfo({"scale_factor": (0.5, 0.25)})
    first = nano.eval()(inputs, plain, mode="predict")[0].pred_instances
    second = nano(inputs, scaled, mode="predict")[0].pred_instances
    large = first.bboxes * torch.tensor([2.0, 4, 2, 4])
    assert len(first) > 0
    assert all(any(torch.allclose(box, each, atol=1e-3) for each in large) for box in second.bboxes[:5])
    assert (first.bboxes >= 0).all()
    assert (first.bboxes <= 64).all()


def test_detections_obey_the_test_config(nano, samples):
    _give_boxes_a_size(nano)
    inputs = torch.randn(1, 3, 64, 64)
    features = nano.eval().extract_feat(inputs)
    cfg = {"score_thr": 0.005, "nms_pre": 50, "max_per_img": 7, "nms": {"type": "nms", "iou_threshold": 0.6}}
    found = nano.bbox_head.predict_by_feat(
        *nano.bbox_head(features), batch_img_metas=[samples(1, 64, 64)[0].metainfo], cfg=cfg
    )[0]
    assert len(found) == 7
    assert float(found.scores.min()) > 0.005
    assert (found.scores.diff() <= 0).all()
    nothing = {**cfg, "score_thr": 0.99}
    metas = [samples(1, 64, 64)[0].metainfo]
    assert len(nano.bbox_head.predict_by_feat(*nano.bbox_head(features), batch_img_metas=metas, cfg=nothing)[0]) == 0


def test_best_scores_are_selected_across_classes():
    scores = torch.tensor([[0.1, 0.9], [0.5, 0.2], [0.05, 0.3]])
    best, labels, rows = select_scores(scores, 0.15, 3)
    assert torch.allclose(best, torch.tensor([0.9, 0.5, 0.3]))
    assert (labels.tolist(), rows.tolist()) == ([1, 0, 1], [0, 1, 2])
    assert len(select_scores(scores, 0, -1)[0]) == 6


def test_shared_convolutions_are_one_tensor_even_when_depthwise(own_config, build):
    model = build(own_config(NANO), share_conv=True)
    first, second = model.bbox_head.cls_convs[0][0], model.bbox_head.cls_convs[1][0]
    assert first.depthwise_conv.conv is second.depthwise_conv.conv
    assert first.pointwise_conv.conv is second.pointwise_conv.conv
    assert first.depthwise_conv.bn is not second.depthwise_conv.bn


@pytest.mark.parametrize("kind", ["RTMDetHead", "RTMDetSepBNHead"])
def test_heads_work_with_objectness_and_exponential_distances(kind, own_config, samples):
    config = own_config(NANO).to_dict()
    head = config["model"]["bbox_head"]
    for key in ("use_depthwise", "share_conv", "exp_on_reg"):
        head.pop(key)
    head.update(type=kind, with_objectness=True, num_classes=20)
    if kind == "RTMDetSepBNHead":
        head["exp_on_reg"] = True
    with use_scope("det"):
        model = MODELS.build(config["model"])
    batch = model.data_preprocessor(_batch(samples), True)
    assert float(model.parse_losses(model(**batch, mode="loss"))[0].detach()) > 0
    assert all((each > 0).all() for each in model.eval()(batch["inputs"], mode="tensor")[1])


def test_objectness_joins_as_geometric_mean():
    first, second = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.5])
    expected = (first.sigmoid() * second.sigmoid()).sqrt()
    assert torch.allclose(join_objectness(first, second).sigmoid(), expected, atol=1e-5)


def test_head_without_training_config_says_so(own_config, samples):
    config = own_config(NANO).to_dict()
    config["model"].pop("train_cfg")
    with use_scope("det"):
        model = MODELS.build(config["model"])
    with pytest.raises(ValueError, match="train_cfg"):
        model(**model.data_preprocessor(_batch(samples), True), mode="loss")


def test_points_lie_where_their_cells_are():
    points = MlvlPointGenerator([8, (16, 32)], offset=0.5)
    first, second = points.grid_priors([(2, 3), (1, 2)], with_stride=True)
    assert first.tolist()[:4] == [[4, 4, 8, 8], [12, 4, 8, 8], [20, 4, 8, 8], [4, 12, 8, 8]]
    assert second.tolist() == [[8, 16, 16, 32], [24, 16, 16, 32]]
    flags = points.valid_flags([(2, 3), (1, 2)], (9, 10))
    assert flags[0].tolist() == [True, True, False, True, True, False]
    assert flags[1].tolist() == [True, False]
    with pytest.raises(ValueError, match="2 maps"):
        points.grid_priors([(2, 3)])


def test_model_can_be_copied_and_sent(nano):
    for made in (copy.deepcopy(nano), pickle.loads(pickle.dumps(nano))):
        assert made.state_dict().keys() == nano.state_dict().keys()


def test_preprocessor_tells_samples_their_shapes(samples):
    preprocessor = MODELS.build(
        {"type": "det.DetDataPreprocessor", "mean": [0, 0, 0], "std": [1, 1, 1], "pad_size_divisor": 32}
    )
    images = [torch.zeros(3, 40, 33, dtype=torch.uint8), torch.zeros(3, 20, 70, dtype=torch.uint8)]
    out = preprocessor({"inputs": images, "data_samples": samples(2, 1, 1)})
    assert out["inputs"].shape == (2, 3, 64, 96)
    assert [each.batch_input_shape for each in out["data_samples"]] == [(64, 96)] * 2
    assert [each.pad_shape for each in out["data_samples"]] == [(64, 64), (32, 96)]


def test_batches_change_their_size_together(samples):
    torch.manual_seed(0)
    preprocessor = MODELS.build(
        {
            "type": "det.DetDataPreprocessor",
            "batch_augments": [{"type": "BatchSyncRandomResize", "random_size_range": (96, 96), "interval": 1}],
        }
    )
    first = preprocessor(_batch(samples, 1, 64, 64), True)
    second = preprocessor(_batch(samples, 1, 64, 64), True)
    assert first["inputs"].shape[-2:] == (64, 64)
    assert second["inputs"].shape[-2:] == (96, 96)
    assert second["data_samples"][0].gt_instances.bboxes[0].tolist() == [15, 30, 135, 180]
    assert second["data_samples"][0].img_shape == (96, 96)
    assert preprocessor(_batch(samples, 1, 64, 64), False)["inputs"].shape[-2:] == (64, 64)


def test_nano_overfits_a_handful_of_scenes(nano):
    """Bright rectangles on noise, two classes by colour: after some steps most are found where they are."""
    generator = torch.Generator().manual_seed(1)
    images, boxes, labels = [], [], []
    for number in range(8):
        image = torch.randint(0, 60, (3, 96, 96), generator=generator, dtype=torch.uint8)
        places = [(8, 12, 40, 44), (50, 46, 86, 84)] if number % 2 else [(46, 10, 84, 42), (10, 52, 44, 88)]
        for label, (left, top, right, bottom) in enumerate(places):
            image[label, top:bottom, left:right] = 240
        images.append(image)
        boxes.append(torch.tensor(places, dtype=torch.float32))
        labels.append(torch.tensor([0, 1]))

    def batch():
        meta = {"img_shape": (96, 96), "ori_shape": (96, 96), "scale_factor": (1.0, 1.0)}
        truths = [InstanceData(bboxes=box, labels=label) for box, label in zip(boxes, labels, strict=True)]
        return {"inputs": images, "data_samples": [DetDataSample(metainfo=meta, gt_instances=each) for each in truths]}

    optimizer = torch.optim.AdamW(nano.parameters(), lr=4e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=90)
    nano.to(memory_format=torch.channels_last).train()
    for _ in range(90):
        loss, _ = nano.parse_losses(nano(**nano.data_preprocessor(batch(), True), mode="loss"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    nano.eval()
    overlaps = []
    with torch.no_grad():
        for sample in nano.val_step(batch()):
            for label, box in enumerate(sample.gt_instances.bboxes):
                best = sample.pred_instances[sample.pred_instances.labels == label][:1].bboxes
                overlaps.append(float(bbox_overlaps(best, box[None])))
    assert float(loss.detach()) < 0.3
    assert sum(each > 0.5 for each in overlaps) >= 12, overlaps
