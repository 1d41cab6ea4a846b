"""Models equal their OpenMMLab twins: keys and shapes, features, scores, predictions, losses, gradient norms.

Tolerances are shares of the largest value: float32 in another order of operations.
"""

from __future__ import annotations

import pytest
import torch
from model_parity import assert_close, assert_same_gradients, assert_same_state

VALUES = {"": 1e-6}
GRADIENTS = {"": 1e-5}

MODELS = {"lenet5_mnist": "lenet/lenet5_mnist.py", "resnet18": "resnet/resnet18_8xb32_in1k.py"}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def test_state_dict_has_the_same_keys_and_shapes(model, twin):
    assert_same_state(model, twin)


def test_features_and_scores_agree(model, twin):
    model.eval()
    with torch.no_grad():
        assert_close(twin, "extract_feat", model.extract_feat(twin.input), relative=VALUES)
        assert_close(twin, "tensor", {"out": model(twin.input, mode="tensor")}, relative=VALUES)


def test_predictions_agree(model, twin, samples):
    model.eval()
    with torch.no_grad():
        found = model(twin.input, samples(len(twin.input)), mode="predict")
    predicted = [{"pred_label": each.pred_label, "pred_score": each.pred_score} for each in found]
    assert_close(twin, "predict", predicted, relative=VALUES)


def test_losses_and_gradients_agree(model, twin, samples):
    model.train()
    losses = model(twin.input, samples(len(twin.input)), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert_close(twin, "loss", {"total": total, **losses}, relative=VALUES)
    assert_same_gradients(model, twin, relative=GRADIENTS)
