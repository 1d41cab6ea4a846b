"""Optimizer wrappers and parameter groups."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mimctl.engine.optim.scale_lr import scale_lr
from mimctl.engine.registry import OPTIMIZERS
from mimctl.errors import ConfigError


class Net(nn.Module):
    """A layer of each sort that the rules tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8))
        self.scale = nn.Parameter(torch.ones(4))
        self.head = nn.Linear(8, 2)
        self.head_again = self.head


OPTIMIZER = {"type": "SGD", "lr": 1.0, "weight_decay": 0.1, "momentum": 0.9}


def options_by_name(paramwise: dict[str, Any], model: nn.Module | None = None) -> dict[str, tuple[float, float]]:
    """Return (learning rate, weight decay) of every parameter."""
    model = model or Net()
    cfg = {"type": "OptimWrapper", "optimizer": OPTIMIZER, "paramwise_cfg": {"bypass_duplicate": True, **paramwise}}
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(param): name for name, param in model.named_parameters()}
    return {
        names[id(param)]: (round(group["lr"], 6), round(group["weight_decay"], 6))
        for group in wrapper.param_groups
        for param in group["params"]
    }


PLAIN = (1.0, 0.1)
TABLE = [
    ({"norm_decay_mult": 0}, {"backbone.1.weight": (1.0, 0.0), "backbone.1.bias": (1.0, 0.0)}),
    (
        {"bias_decay_mult": 0},
        {"backbone.0.bias": (1.0, 0.0), "backbone.1.bias": (1.0, 0.0), "backbone.2.bias": (1.0, 0.0),
         "head.bias": (1.0, 0.0)},
    ),
    (
        {"bias_lr_mult": 2},
        {"backbone.0.bias": (2.0, 0.1), "backbone.2.bias": (2.0, 0.1), "head.bias": (2.0, 0.1)},
    ),
    ({"dwconv_decay_mult": 0.5}, {"backbone.2.weight": (1.0, 0.05), "backbone.2.bias": (1.0, 0.05)}),
    (
        {"flat_decay_mult": 0},
        dict.fromkeys(
            ("scale", "backbone.0.bias", "backbone.1.weight", "backbone.1.bias", "backbone.2.bias", "head.bias"),
            (1.0, 0.0),
        ),
    ),
    (
        {"custom_keys": {"backbone": {"lr_mult": 0.1}, "backbone.1": {"decay_mult": 0.0}}, "bias_lr_mult": 2},
        {"backbone.0.weight": (0.1, 0.1), "backbone.0.bias": (0.1, 0.1), "backbone.1.weight": (1.0, 0.0),
         "backbone.1.bias": (1.0, 0.0), "backbone.2.weight": (0.1, 0.1), "backbone.2.bias": (0.1, 0.1),
         "head.bias": (2.0, 0.1)},
    ),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("paramwise", "changed"), TABLE, ids=lambda each: "-".join(each) or "none")
def test_parameter_gets_the_options_of_its_rule(
    paramwise: dict[str, Any], changed: dict[str, tuple[float, float]]
) -> None:
    expected = {name: changed.get(name, PLAIN) for name, _ in Net().named_parameters()}
    assert options_by_name(paramwise) == expected


def test_custom_key_sets_any_option() -> None:
    cfg = {"optimizer": OPTIMIZER, "paramwise_cfg": {"custom_keys": {"scale": {"momentum": 0.5}},
                                                     "bypass_duplicate": True}}  # fmt: skip
    wrapper = build_optim_wrapper(Net(), cfg)
    assert [group["momentum"] for group in wrapper.param_groups if group["params"][0].shape == (4,)] == [0.5]


def test_equal_options_share_a_group() -> None:
    wrapper = build_optim_wrapper(
        Net(), {"optimizer": OPTIMIZER, "paramwise_cfg": {"norm_decay_mult": 0, "bypass_duplicate": True}}
    )
    assert [len(group["params"]) for group in wrapper.param_groups] == [7, 2]


def test_frozen_parameters_are_left_alone() -> None:
    model = Net()
    model.backbone.requires_grad_(False)
    assert len(options_by_name({"bias_lr_mult": 2}, model)) == 9


@pytest.mark.parametrize(
    ("paramwise", "message"),
    [
        ({"norm_decay_mul": 0}, "norm_decay_mul"),
        ({"custom_keys": {"backbonee": {"lr_mult": 0.1}}}, "`backbone`"),
        ({"bias_lr_mult": 2, "bypass_duplicate": False}, "shared"),
    ],
)
def test_wrong_paramwise_cfg_is_refused(paramwise: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options_by_name(paramwise)
    assert message in caught.value.message + " ".join(caught.value.hints)


def test_decay_rule_without_weight_decay_is_refused() -> None:
    with pytest.raises(ConfigError, match="weight_decay"):
        build_optim_wrapper(Net(), {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": {"norm_decay_mult": 0}})


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adafactor"])
def test_every_torch_optimizer_is_known(name: str) -> None:
    model = nn.Linear(2, 1)
    wrapper = build_optim_wrapper(model, {"optimizer": {"type": name, "lr": 0.1}})
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    assert not torch.equal(before, model.weight)


def test_unknown_optimizer_shows_near_names() -> None:
    with pytest.raises(ConfigError, match="unknown optimizer `AdmW`") as caught:
        OPTIMIZERS.build({"type": "AdmW", "params": []})
    assert any("`AdamW`" in hint for hint in caught.value.hints)


def test_accumulated_steps_equal_one_large_batch() -> None:
    data = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    weights = []
    for accumulate, parts in ((1, [data]), (3, list(data.split(2)))):
        model = nn.Linear(2, 1)
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=accumulate)
        for part in parts:
            with wrapper.optim_context(model):
                loss = model(part).pow(2).mean()
            wrapper.update_params(loss)
        weights.append(model.weight.detach())
    assert torch.allclose(weights[0], weights[1])


def test_last_shorter_group_is_scaled_by_its_own_length() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 4)
    moved = []
    for _ in range(4):
        wrapper.update_params(model(torch.ones(1, 1)).sum())
        moved.append(model.weight.item())
    assert moved == pytest.approx([0.0, 0.0, -1.0, -2.0])


def test_gradients_are_clipped_by_norm_and_by_value() -> None:
    for clip, expected in (({"max_norm": 1.0}, 0.6), ({"type": "value", "clip_value": 0.5}, 0.5)):
        param = nn.Parameter(torch.zeros(2))
        wrapper = OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad=clip)
        wrapper.update_params((param * torch.tensor([3.0, 4.0])).sum())
        assert -param[0].item() == pytest.approx(expected)
    assert wrapper.last_grad_norm is None


def test_gradient_norm_is_kept_for_the_log() -> None:
    param = nn.Parameter(torch.zeros(2))
    wrapper = OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad={"max_norm": 1.0})
    wrapper.update_params((param * torch.tensor([3.0, 4.0])).sum())
    assert float(wrapper.last_grad_norm) == pytest.approx(5.0)


def test_wrong_clip_option_is_refused() -> None:
    param = nn.Parameter(torch.zeros(1))
    with pytest.raises(ConfigError, match="max_nrm"):
        OptimWrapper(torch.optim.SGD([param], lr=1.0), clip_grad={"max_nrm": 1.0})


def test_amp_on_the_cpu_computes_in_bfloat16() -> None:
    model = nn.Linear(4, 4)
    wrapper = build_optim_wrapper(
        model, {"type": "AmpOptimWrapper", "loss_scale": "dynamic", "optimizer": {"type": "SGD", "lr": 0.1}}
    )
    assert isinstance(wrapper, AmpOptimWrapper)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)
    wrapper.load_state_dict(wrapper.state_dict())


def test_learning_rate_is_scaled_with_the_batch_size() -> None:
    wrapper = build_optim_wrapper(nn.Linear(1, 1), {"optimizer": {"type": "SGD", "lr": 0.1}})
    assert scale_lr(wrapper, {"enable": True, "base_batch_size": 16}, 4) == 0.25
    assert wrapper.get_lr()["lr"] == [pytest.approx(0.025)]
    assert scale_lr(wrapper, {"base_batch_size": 16}, 4) == 1.0
    with pytest.raises(ConfigError, match="base_batch_size"):
        scale_lr(wrapper, {"enable": True}, 4)
    with pytest.raises(ConfigError, match="enabled"):
        scale_lr(wrapper, {"enabled": True}, 4)


def test_several_optimizers_join_their_state() -> None:
    parts = {name: OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)) for name, lr in
             (("g", 0.1), ("d", 0.2))}  # fmt: skip
    joined = build_optim_wrapper(nn.Linear(1, 1), parts)
    assert isinstance(joined, OptimWrapperDict)
    assert joined.get_lr() == {"g.lr": [0.1], "d.lr": [0.2]}
    assert set(joined.state_dict()) == {"g", "d"}
