"""Base classes of models: order of initialisation, pretrained weights, batches, averaged weights."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from torch import nn

from mimctl.engine.model import (
    BaseDataPreprocessor,
    BaseModel,
    BaseModule,
    ExponentialMovingAverage,
    ImgDataPreprocessor,
    ModuleList,
    MomentumAnnealingEMA,
    Sequential,
    StochasticWeightAverage,
    allow_missing_pretrained,
    bias_init_with_prob,
    initialize,
    stack_batch,
)
from mimctl.engine.model.averaged import ExpMomentumEMA
from mimctl.engine.structures import BaseDataElement
from mimctl.errors import ConfigError, MimctlError


class Block(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)


def _constant(value, layer="Conv2d", **more):
    return {"type": "Constant", "val": value, "layer": layer, **more}


def test_children_overrule_their_parents():
    model = Sequential(Block(), Block(init_cfg=_constant(2)), init_cfg=_constant(1, bias=5))
    model.init_weights()
    assert [float(each.conv.weight.detach()) for each in model] == [1, 2]
    assert [float(each.conv.bias.detach()) for each in model] == [5, 0]


def test_weights_are_initialised_once():
    model = Block(init_cfg=_constant(1))
    model.init_weights()
    nn.init.constant_(model.conv.weight, 9)
    model.init_weights()
    assert float(model.conv.weight.detach()) == 9


def test_initialisation_reaches_modules_below_plain_containers():
    model = ModuleList([nn.ModuleList([nn.Sequential(Block(init_cfg=_constant(3)))])])
    model.init_weights()
    assert float(model[0][0][0].conv.weight.detach()) == 3


def test_layers_are_named_by_class_or_normalisation_family():
    model = Block()
    initialize(model, [_constant(4, layer="_BatchNorm"), _constant(5, layer=["Linear", "Conv2d"])])
    assert float(model.norm.weight.detach()) == 4
    assert float(model.conv.weight.detach()) == 5


def test_override_wins_for_the_named_child():
    model = Block()
    initialize(
        model, _constant(1, layer=["Conv2d", "BatchNorm2d"], override={"type": "Constant", "val": 7, "name": "norm"})
    )
    assert float(model.conv.weight.detach()) == 1
    assert float(model.norm.weight.detach()) == 7
    with pytest.raises(ConfigError, match="no such module") as caught:
        initialize(model, _constant(1, override={"name": "absent"}))
    assert caught.value.code == "bad-init-cfg"


def test_prior_probability_sets_the_bias():
    conv = nn.Conv2d(3, 3, 1)
    initialize(conv, {"type": "Normal", "std": 0.01, "bias_prob": 0.01, "layer": "Conv2d"})
    assert torch.allclose(conv.bias.sigmoid(), torch.tensor(0.01))
    assert bias_init_with_prob(0.5) == 0


@pytest.mark.parametrize(
    ("cfg", "deviation"),
    [
        ({"type": "Kaiming", "mode": "fan_in"}, math.sqrt(2 / 576)),
        (
            {"type": "Kaiming", "mode": "fan_in", "a": 5**0.5, "distribution": "uniform", "nonlinearity": "leaky_relu"},
            1728**-0.5,
        ),
        ({"type": "Xavier"}, math.sqrt(2 / (576 + 576))),
        ({"type": "Caffe2Xavier"}, math.sqrt(1 / 576)),
        ({"type": "Normal", "std": 0.3}, 0.3),
        ({"type": "TruncNormal", "std": 0.02}, 0.02),
        ({"type": "Uniform", "a": -1.0, "b": 1.0}, math.sqrt(1 / 3)),
    ],
)
def test_initialisers_have_their_spread(cfg, deviation):
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3)
    initialize(conv, {"layer": "Conv2d", **cfg})
    assert float(conv.weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert not conv.bias.detach().any()


def test_pretrained_part_of_a_checkpoint_is_loaded_last(tmp_path):
    source = Sequential(Block(init_cfg=_constant(6)))
    source.init_weights()
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {f"backbone.{key}": value for key, value in source.state_dict().items()}}, path)
    pretrained = {"type": "Pretrained", "checkpoint": str(path), "prefix": "backbone."}
    model = Sequential(Block(init_cfg=_constant(1)), init_cfg=pretrained)
    model.init_weights()
    assert float(model[0].conv.weight.detach()) == 6
    with pytest.raises(ConfigError, match=r"begins with `neck\.`"):
        initialize(model, {**pretrained, "prefix": "neck"})


def test_missing_pretrained_weights_stop_unless_a_checkpoint_follows():
    cfg = {"type": "Pretrained", "checkpoint": "https://weights.invalid/x.pth"}
    with pytest.raises(MimctlError, match="not at hand"):
        Block(init_cfg=cfg).init_weights()
    with allow_missing_pretrained():
        Block(init_cfg=cfg).init_weights()


class Regression(BaseModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        out = self.linear(inputs)
        if mode == "loss":
            return {"loss_a": out.square(), "loss_b": [out.mean(), out.sum()], "accuracy": torch.tensor(0.5)}
        return [out] if mode == "predict" else out


class Wrapper:
    def __init__(self, model):
        self.optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def optim_context(self, model):
        return contextlib.nullcontext()

    def update_params(self, loss):
        loss.backward()
        self.optimizer.step()


def test_training_step_sums_losses_and_returns_detached_figures():
    model = Regression()
    before = model.linear.weight.detach().clone()
    logged = model.train_step({"inputs": torch.ones(3, 2)}, Wrapper(model))
    assert list(logged) == ["loss", "loss_a", "loss_b", "accuracy"]
    assert not any(each.requires_grad for each in logged.values())
    assert torch.allclose(logged["loss"], logged["loss_a"] + logged["loss_b"])
    assert not torch.equal(before, model.linear.weight)


def test_losses_of_another_kind_are_refused():
    model = Regression()
    with pytest.raises(TypeError, match="loss_a"):
        model.parse_losses({"loss_a": "x"})
    with pytest.raises(ValueError, match="no entry"):
        model.parse_losses({"accuracy": torch.tensor(1.0)})


def test_validation_step_predicts():
    model = Regression(data_preprocessor={"type": "BaseDataPreprocessor"})
    assert model.val_step({"inputs": torch.ones(3, 2)})[0].shape == (3, 1)
    assert model.test_step({"inputs": torch.ones(3, 2)})[0].shape == (3, 1)


def test_preprocessor_moves_nested_batches_and_stays_out_of_the_state():
    preprocessor = BaseDataPreprocessor().to(torch.device("meta"))
    moved = preprocessor({"a": [torch.ones(1)], "b": (BaseDataElement(x=torch.ones(1)), "text")})
    assert moved["a"][0].device.type == moved["b"][0].x.device.type == "meta"
    assert moved["b"][1] == "text"
    assert not preprocessor.state_dict()


def test_images_are_normalised_then_padded():
    preprocessor = ImgDataPreprocessor([1, 2, 3], [2, 4, 8], pad_size_divisor=4, pad_value=7, bgr_to_rgb=True)
    image = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 3, 5)
    out = preprocessor({"inputs": [image, image[:, :2]]})
    batch = out["inputs"]
    assert out["data_samples"] is None
    assert batch.shape == (2, 3, 4, 8)
    assert batch[0, :, 0, 0].tolist() == [(30 - 1) / 2, (20 - 2) / 4, (10 - 3) / 8]
    assert (batch[0, :, 3:] == 7).all()
    assert (batch[0, :, :, 5:] == 7).all()
    assert (batch[1, :, 2:] == 7).all()


def test_stacked_images_are_treated_as_single_ones():
    preprocessor = ImgDataPreprocessor([1, 2, 3], [2, 4, 8])
    images = torch.randint(0, 255, (2, 3, 4, 6), dtype=torch.uint8)
    assert torch.equal(preprocessor({"inputs": images})["inputs"], preprocessor({"inputs": list(images)})["inputs"])
    with pytest.raises(TypeError, match="B, C, H, W"):
        preprocessor({"inputs": images[0]})
    with pytest.raises(ValueError, match="3 channels"):
        preprocessor({"inputs": images[:, :1]})


def test_preprocessor_refuses_half_a_normalisation():
    with pytest.raises(ValueError, match="together"):
        ImgDataPreprocessor(mean=[1, 2, 3])
    with pytest.raises(ValueError, match="exclude"):
        ImgDataPreprocessor(bgr_to_rgb=True, rgb_to_bgr=True)


def test_stacking_pads_on_the_right_and_at_the_bottom():
    batch = stack_batch([torch.ones(1, 2, 3), torch.ones(1, 3, 2)], pad_size_divisor=4, pad_value=-1)
    assert batch.shape == (2, 1, 4, 4)
    assert batch[0, 0, :2, :3].eq(1).all()
    assert batch.sum() == 12 - 20


def _trained(average, values):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    averaged = average(model)
    for value in values:
        nn.init.constant_(model[0].weight, value)
        model[1].running_mean.fill_(value)
        model[1].num_batches_tracked += 1
        averaged.update_parameters(model)
    return averaged


def test_stochastic_average_is_the_plain_mean():
    averaged = _trained(StochasticWeightAverage, [1, 2, 6])
    assert float(averaged.module[0].weight) == 3
    assert float(averaged.module[1].running_mean) == 6, "buffers are copied unless asked otherwise"
    assert int(averaged.steps) == 3


def test_exponential_average_follows_its_formula():
    averaged = _trained(lambda model: ExponentialMovingAverage(model, momentum=0.25, update_buffers=True), [1, 2, 6])
    assert float(averaged.module[0].weight) == pytest.approx((1 * 0.75 + 2 * 0.25) * 0.75 + 6 * 0.25)
    assert float(averaged.module[1].running_mean) == pytest.approx(float(averaged.module[0].weight))
    assert int(averaged.module[1].num_batches_tracked) == 3


def test_annealed_momenta_follow_their_formulas():
    model = nn.Linear(1, 1)
    assert MomentumAnnealingEMA(model, momentum=0.02, gamma=100).share_of(100) == 0.5
    assert MomentumAnnealingEMA(model, momentum=0.02, gamma=100).share_of(10**6) == 0.02
    annealed = ExpMomentumEMA(model, momentum=0.0002, gamma=2000)
    assert annealed.share_of(1999) == pytest.approx(0.9998 * math.exp(-1) + 0.0002)


def test_average_moves_only_every_interval():
    averaged = _trained(lambda model: ExponentialMovingAverage(model, momentum=0.5, interval=2), [1, 3, 5])
    assert float(averaged.module[0].weight) == 3


def test_average_is_restored_from_its_state():
    averaged = _trained(ExpMomentumEMA, [1, 2])
    other = _trained(ExpMomentumEMA, [5])
    other.load_state_dict(averaged.state_dict())
    assert int(other.steps) == 2
    assert torch.equal(other.module[0].weight, averaged.module[0].weight)
    assert not any(each.requires_grad for each in other.parameters())


def test_shared_weights_stay_shared_in_the_average():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[1].weight = model[0].weight
    averaged = ExponentialMovingAverage(model, momentum=0.5)
    averaged.update_parameters(model)
    nn.init.constant_(model[0].weight, 4.0)
    before = float(averaged.module[0].weight)
    averaged.update_parameters(model)
    assert averaged.module[1].weight is averaged.module[0].weight
    assert float(averaged.module[0].weight) == pytest.approx((before + 4) / 2)
