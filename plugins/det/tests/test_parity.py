"""Models equal their OpenMMLab twins: keys and shapes, features, raw outputs, predictions, losses, gradient norms.

Tolerances are shares of the largest value. They are those of float32 in another order of operations, except for box
losses: with random weights the predicted boxes are slivers 0.06 pixels thin at coordinates around 100, where float32
resolves no more than 1e-5 pixels, so the loss itself is known to a few 1e-4 only (the float64 test shows it).
"""

from __future__ import annotations

import pytest
import torch
from model_parity import (
    assert_close,
    assert_same_detections,
    assert_same_gradients,
    assert_same_state,
    flattened,
)

FLOAT32 = {"": 5e-6}
LOSSES = {"loss_cls|total": 2e-6, "loss_bbox": 5e-4}
GRADIENTS = {r"bbox_head\.(reg_convs|rtm_reg)": 1e-3, "": 5e-5}

MODELS = {"rtmdet_s": "rtmdet/rtmdet_s_8xb32-300e_coco.py"}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def test_state_dict_has_the_same_keys_and_shapes(model, twin):
    assert_same_state(model, twin)


def test_features_and_raw_outputs_agree(model, twin):
    model.eval()
    with torch.no_grad():
        assert_close(twin, "extract_feat", model.extract_feat(twin.input), relative=FLOAT32)
        assert_close(twin, "tensor", model(twin.input, mode="tensor"), relative=FLOAT32)


def test_predictions_agree(model, twin, samples):
    model.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        found = model(twin.input, samples(1, *twin.input.shape[-2:]), mode="predict")
    assert_same_detections(twin, "0.pred_instances", found[0].pred_instances, score=2e-6, pixels=1e-3)


def test_losses_and_gradients_agree(model, twin, samples):
    model.train()
    torch.manual_seed(0)
    losses = model(twin.input, samples(1, *twin.input.shape[-2:]), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert_close(twin, "loss", {"total": total, **losses}, relative=LOSSES)
    assert_same_gradients(model, twin, relative=GRADIENTS)


def test_box_losses_of_both_differ_from_float64_by_rounding_alone(model, twin, samples):
    model.double().train()
    batch = samples(1, *twin.input.shape[-2:])
    for sample in batch:
        sample.gt_instances = sample.gt_instances.to(torch.float64)
    exact = dict(flattened(model(twin.input.double(), batch, mode="loss")))
    for key, stored in twin.tagged("loss").items():
        if key != "total":
            assert float(exact[key].detach()) == pytest.approx(float(stored), rel=5e-4 if "bbox" in key else 2e-6)
