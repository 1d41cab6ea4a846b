"""Learning rates by the depth of a layer, and optimizers that are somewhere else than in torch."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.engine.optim import OptimWrapper, build_optim_wrapper
from mimctl.engine.registry import OPTIMIZERS
from mimctl.errors import ConfigError

FACTS = json.loads((Path(__file__).parent / "facts" / "layer_decay.json").read_text(encoding="utf-8"))
"""`paramwise_cfg` → (lr, weight decay, momentum) of each parameter of `Classifier`, by MMPretrain 1.2.0's rules."""


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 8))
        self.patch_embed = nn.Conv2d(3, 8, 4)
        self.layers = nn.ModuleList(nn.ModuleDict({"ln": nn.LayerNorm(8), "ffn": nn.Linear(8, 8)}) for _ in range(3))
        self.gamma = nn.Parameter(torch.ones(8))

    def get_layer_depth(self, name: str, prefix: str = "") -> tuple[int, int]:
        num_layers = len(self.layers) + 2
        inner = name.removeprefix(prefix)
        if inner.startswith(("pos_embed", "patch_embed")):
            return 0, num_layers
        return int(inner.split(".")[1]) + 1 if inner.startswith("layers.") else num_layers - 1, num_layers


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(8, 2)

    def get_layer_depth(self, name: str) -> tuple[int, int]:
        return self.backbone.get_layer_depth(name, "backbone.")


class Silent(nn.Module):
    """A model of which only the backbone says where layers lie."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(8, 2)


OPTIMIZER = {"type": "SGD", "lr": 1.0, "weight_decay": 0.1, "momentum": 0.9}


def wrapper_of(paramwise: dict[str, Any], model: nn.Module, optimizer: dict[str, Any] = OPTIMIZER) -> OptimWrapper:
    kind = "LearningRateDecayOptimWrapperConstructor"
    return build_optim_wrapper(model, {"optimizer": optimizer, "paramwise_cfg": paramwise, "constructor": kind})


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: "-".join(fact["paramwise_cfg"]))
@pytest.mark.parametrize("kind", [Classifier, Silent])
def test_parameters_get_the_rate_of_their_layer(fact: dict[str, Any], kind: type[nn.Module]) -> None:
    model = kind()
    names = {id(param): name for name, param in model.named_parameters()}
    groups = wrapper_of(fact["paramwise_cfg"], model).optimizer.param_groups
    found = {
        names[id(param)]: [round(group[key], 8) for key in ("lr", "weight_decay", "momentum")]
        for group in groups
        for param in group["params"]
    }
    assert found == fact["options"]
    assert {group["layer_id"] for group in groups} == {0, 1, 2, 3, 4}


def test_layers_without_decay_rules_share_one_group_each() -> None:
    wrapper = wrapper_of({"layer_decay_rate": 0.5}, Classifier())
    assert [group["layer_id"] for group in wrapper.optimizer.param_groups] == [0, 4, 1, 2, 3]
    assert wrapper.get_lr()["base_lr"] == [1.0]


STAGES = json.loads((Path(__file__).parent / "facts" / "stage_decay.json").read_text(encoding="utf-8"))
"""`paramwise_cfg` and (lr, weight decay) of each parameter of `Staged`, by MMDetection 3.3.0's rules for ConvNeXt."""


class Staged(nn.Module):
    """A model whose backbone has downsampling layers and stages, and says their depths."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.downsample_layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(4), nn.Conv2d(4, 4, 2)) for _ in range(4)
        )
        self.backbone.stages = nn.ModuleList(
            nn.Sequential(*[nn.Linear(4, 4) for _ in range(depth)]) for depth in (1, 1, 5, 1)
        )
        self.backbone.norm3 = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)

    def get_layer_depth(self, name: str) -> tuple[int, int]:
        parts = name.split(".")
        if parts[1] == "downsample_layers":
            return (0, 2, 3, 6)[int(parts[2])], 8
        if parts[1] == "stages":
            return (1, 2, 3 + int(parts[3]) // 3, 6)[int(parts[2])], 8
        return 7, 8


def staged(paramwise: dict[str, Any]) -> tuple[nn.Module, OptimWrapper]:
    model = Staged()
    cfg = {
        "optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 0.1},
        "constructor": "LearningRateDecayOptimizerConstructor",
        "paramwise_cfg": paramwise,
    }
    return model, build_optim_wrapper(model, cfg)


def test_mmdetections_name_and_options_give_its_groups() -> None:
    model, wrapper = staged(STAGES["paramwise_cfg"])
    names = {id(param): name for name, param in model.named_parameters()}
    assert STAGES["options"] == {
        names[id(param)]: [round(group["lr"], 8), group["weight_decay"]]
        for group in wrapper.optimizer.param_groups
        for param in group["params"]
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 12}, "is 12, and the model has 6"),
        ({"decay_type": "stage_wise"}, "stage_wise"),
        ({"decay_rate": None}, "needs `paramwise_cfg.decay_rate`"),
        ({"norm_decay_mult": 0.0}, "norm_decay_mult"),
    ],
)
def test_options_that_mmdetections_constructor_cannot_follow_are_refused(change: dict[str, Any], message: str) -> None:
    options = {**STAGES["paramwise_cfg"], **change}
    with pytest.raises(ConfigError, match=message):
        staged({key: value for key, value in options.items() if value is not None})


@pytest.mark.parametrize(
    ("paramwise", "optimizer", "message"),
    [
        ({"layer_decay_rat": 0.5}, OPTIMIZER, "layer_decay_rat"),
        ({"bias_lr_mult": 2.0}, OPTIMIZER, "bias_lr_mult"),
        ({"custom_keys": {"head": {"lr_mult": 2.0}}}, OPTIMIZER, "layer's depth decides"),
        ({"layer_decay_rate": 0.5}, {"type": "Adam"}, "none"),
    ],
)
def test_rates_from_elsewhere_are_refused(paramwise: dict[str, Any], optimizer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrapper_of(paramwise, Classifier(), optimizer)


def test_model_that_does_not_say_where_its_layers_lie_is_refused() -> None:
    with pytest.raises(ConfigError, match="`Linear` does not say"):
        wrapper_of({"layer_decay_rate": 0.5}, nn.Linear(2, 2))


def test_optimizer_of_a_package_that_is_not_installed_says_which() -> None:
    if find_spec("lion_pytorch"):
        pytest.skip("lion-pytorch is installed here")
    with pytest.raises(ConfigError, match="lion-pytorch") as caught:
        OPTIMIZERS.build({"type": "Lion", "params": [], "lr": 0.1})
    assert caught.value.code == "missing-extra"
    assert list(caught.value.hints) == ["install it into the environment that trains: `pip install lion-pytorch`"]


def test_optimizer_of_another_package_is_imported_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("lion_pytorch")
    package.Lion = torch.optim.SGD  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lion_pytorch", package)
    model = nn.Linear(2, 1)
    wrapper = build_optim_wrapper(model, {"optimizer": {"type": "Lion", "lr": 0.5}})
    assert wrapper.optimizer.param_groups[0]["lr"] == 0.5


def test_every_optimizer_of_torch_has_its_name() -> None:
    names = {
        name
        for name, each in vars(torch.optim).items()
        if isinstance(each, type) and issubclass(each, torch.optim.Optimizer) and each is not torch.optim.Optimizer
    }
    assert {name for name in names if OPTIMIZERS.get(name) is None} == set()
