"""Parameter groups: which learning rate and weight decay each parameter gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.optim import DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.errors import ConfigError

FACTS = json.loads((Path(__file__).parent / "facts" / "parameter_groups.json").read_text(encoding="utf-8"))
"""`paramwise_cfg` → (lr, weight decay, momentum) of each trainable parameter of `Net`, as MMEngine 0.10.7 gives."""


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 4)
        self.fc = nn.Linear(4, 4)
        self.gamma = nn.Parameter(torch.ones(4))


class ModulatedDeformConv2dPack(nn.Module):
    """A deformable convolution as far as the rules look at it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4, 3, 3))
        self.bias = nn.Parameter(torch.zeros(4))
        self.conv_offset = nn.Conv2d(4, 27, 3, padding=1)


class Net(nn.Module):
    """A layer of each sort that the rules tell apart; `tied` shares the head with another part."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), depthwise, nn.InstanceNorm2d(4, affine=True), Block()
        )
        self.dcn = ModulatedDeformConv2dPack()
        self.scale = nn.Parameter(torch.ones(4))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)
        self.head_again = self.head
        if tied:
            self.other = nn.Module()
            self.other.fc = self.head


OPTIMIZER = {"type": "SGD", "lr": 1.0, "weight_decay": 0.1, "momentum": 0.9}


def wrapper_of(paramwise: dict[str, Any], model: nn.Module | None = None, **options: Any) -> OptimWrapper:
    return build_optim_wrapper(model or Net(), {"optimizer": OPTIMIZER, "paramwise_cfg": paramwise, **options})


def options_of(wrapper: OptimWrapper, model: nn.Module) -> dict[str, list[float]]:
    names = {id(param): name for name, param in model.named_parameters()}
    return {
        names[id(param)]: [round(group[key], 8) for key in ("lr", "weight_decay", "momentum")]
        for group in wrapper.optimizer.param_groups
        for param in group["params"]
    }


def fact_name(fact: dict[str, Any]) -> str:
    return "-".join([*(fact["paramwise_cfg"] or ["none"]), *fact["frozen"], "tied" if fact["tied"] else ""]).strip("-")


@pytest.mark.parametrize("fact", FACTS, ids=fact_name)
def test_parameters_get_what_mmengine_gives_them(fact: dict[str, Any]) -> None:
    model = Net(tied=fact["tied"])
    for part in fact["frozen"]:
        model.get_submodule(part).requires_grad_(False)
    found = options_of(wrapper_of(fact["paramwise_cfg"], model), model)
    trainable = [name for name, param in model.named_parameters() if param.requires_grad]
    assert {name: found[name] for name in trainable} == fact["options"]


def test_frozen_parameters_are_in_the_group_that_they_would_train_in() -> None:
    rules = {"norm_decay_mult": 0, "bias_lr_mult": 2}
    model, frozen = Net(), Net()
    frozen.backbone.requires_grad_(False)
    assert options_of(wrapper_of(rules, frozen), frozen) == options_of(wrapper_of(rules, model), model)


def test_equal_options_share_a_group() -> None:
    groups = wrapper_of({"norm_decay_mult": 0}).optimizer.param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 14), (0.0, 8)]


def test_base_learning_rate_is_the_configs_and_follows_the_schedule() -> None:
    wrapper = wrapper_of({"custom_keys": {"scale": {"lr_mult": 0.1}}})
    assert wrapper.get_lr() == {"lr": [0.1, 1.0], "base_lr": [1.0]}
    PARAM_SCHEDULERS.build({"type": "ConstantLR", "factor": 0.5}, optimizer=wrapper)
    assert wrapper.get_lr() == {"lr": [0.05, 0.5], "base_lr": [0.5]}
    other = wrapper_of({"custom_keys": {"scale": {"lr_mult": 0.1}}})
    other.load_state_dict(wrapper.state_dict())
    assert other.get_lr() == wrapper.get_lr()


def test_single_group_has_no_base_learning_rate() -> None:
    assert wrapper_of({}).get_lr() == {"lr": [1.0]}


@pytest.mark.parametrize(
    ("paramwise", "message"),
    [
        ({"norm_decay_mul": 0}, "`norm_decay_mult`"),
        ({"layer_decay_rate": 0.9}, "no option `layer_decay_rate`"),
        ({"custom_keys": {"backbonee": {"lr_mult": 0.1}}}, "`backbone`"),
        ({"custom_keys": ["backbone"]}, "must be a dict"),
    ],
)
def test_wrong_paramwise_cfg_is_refused(paramwise: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wrapper_of(paramwise)
    assert message in caught.value.message + " ".join(caught.value.hints)


def test_parameter_shared_by_two_parts_is_refused_unless_duplicates_are_passed_over() -> None:
    with pytest.raises(ConfigError, match=r"`other\.fc\.weight` is shared"):
        wrapper_of({"bias_lr_mult": 2}, Net(tied=True))


@pytest.mark.parametrize(
    ("optimizer", "paramwise", "option"),
    [
        ({"type": "SGD", "lr": 1.0}, {"norm_decay_mult": 0}, "weight_decay"),
        ({"type": "SGD", "lr": 1.0}, {"custom_keys": {"head": {"decay_mult": 0.0}}}, "weight_decay"),
        ({"type": "Adam"}, {"bias_lr_mult": 2}, "lr"),
        ({"type": "Adam"}, {"custom_keys": {"head": {"lr_mult": 0.1}}}, "lr"),
    ],
)
def test_factor_of_what_the_config_does_not_have_is_refused(
    optimizer: dict[str, Any], paramwise: dict[str, Any], option: str
) -> None:
    with pytest.raises(ConfigError, match=f"has no `{option}`"):
        build_optim_wrapper(Net(), {"optimizer": optimizer, "paramwise_cfg": paramwise})


def test_groups_are_logged_as_a_short_table(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    wrapper_of({"norm_decay_mult": 0, "custom_keys": {"scale": {"lr_mult": 0.5, "momentum": 0.5}}})
    table = [line.split() for line in caplog.messages[-1].splitlines()]
    assert table == [
        ["3", "parameter", "groups", "of", "SGD:"],
        ["parameters", "numbers", "lr", "weight_decay", "momentum", "first"],
        ["1", "4", "0.5", "0.1", "0.5", "scale"],
        ["13", "1,237", "1", "0.1", "0.9", "backbone.0.weight"],
        ["8", "32", "1", "0", "0.9", "backbone.1.weight"],
    ]


def test_rules_of_ones_own_add_their_groups() -> None:
    class HeadAlone(DefaultOptimWrapperConstructor):
        def add_params(self, params: Any, module: nn.Module, prefix: str = "", is_dcn_module: Any = None) -> None:
            params.append({"params": list(module.head.parameters()), "lr": self.base_lr, "group_name": "head"})

    model = Net()
    wrapper = HeadAlone({"optimizer": OPTIMIZER}, {"bypass_duplicate": True})(model)
    assert set(options_of(wrapper, model)) == {"head.weight", "head.bias"}
