"""Schedules against torch's own and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer, lr_scheduler

from mimctl.engine.optim import OptimWrapper
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.build import RunLengths, build_param_schedulers
from mimctl.errors import ConfigError

BASE = 0.1


def optimizer() -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE, momentum=0.9)


def values(cfg: dict[str, Any], steps: int, *, name: str = "lr") -> list[float]:
    """Return the value at steps 0, 1, …"""
    held = optimizer()
    scheduler = PARAM_SCHEDULERS.build(cfg, optimizer=held)
    found = []
    for _ in range(steps):
        found.append(held.param_groups[0][name])
        scheduler.step()
    return found


def torch_values(make: Callable[[Optimizer], Any], steps: int) -> list[float]:
    held = optimizer()
    scheduler = make(held)
    found = []
    for _ in range(steps):
        found.append(held.param_groups[0]["lr"])
        held.step()
        scheduler.step()
    return found


TORCH_TWINS = {
    "linear": (
        {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 6},
        lambda held: lr_scheduler.LinearLR(held, 0.1, total_iters=5),
    ),
    "step": ({"type": "StepLR", "step_size": 3, "gamma": 0.5}, lambda held: lr_scheduler.StepLR(held, 3, 0.5)),
    "multi-step": (
        {"type": "MultiStepLR", "milestones": [2, 5, 5], "gamma": 0.5},
        lambda held: lr_scheduler.MultiStepLR(held, [2, 5, 5], 0.5),
    ),
    "exponential": ({"type": "ExponentialLR", "gamma": 0.8}, lambda held: lr_scheduler.ExponentialLR(held, 0.8)),
    "cosine": (
        {"type": "CosineAnnealingLR", "T_max": 10, "eta_min": 0.01},
        lambda held: lr_scheduler.CosineAnnealingLR(held, 10, 0.01),
    ),
    "cosine-beyond-its-end": (
        {"type": "CosineAnnealingLR", "T_max": 3, "eta_min": 0.01},
        lambda held: lr_scheduler.CosineAnnealingLR(held, 3, 0.01),
    ),
    "constant": (
        {"type": "ConstantLR", "factor": 0.25, "begin": 0, "end": 5},
        lambda held: lr_scheduler.ConstantLR(held, 0.25, total_iters=4),
    ),
    "polynomial": (
        {"type": "PolyLR", "power": 2.0, "begin": 0, "end": 11},
        lambda held: lr_scheduler.PolynomialLR(held, 10, 2.0),
    ),
    "cosine-restarts": (
        {"type": "CosineRestartLR", "periods": [4, 8], "restart_weights": [1, 1], "eta_min": 0.01},
        lambda held: lr_scheduler.CosineAnnealingWarmRestarts(held, T_0=4, T_mult=2, eta_min=0.01),
    ),
    "one-cycle": (
        {"type": "OneCycleLR", "eta_max": 0.4, "total_steps": 10},
        lambda held: lr_scheduler.OneCycleLR(held, 0.4, total_steps=10, cycle_momentum=False),
    ),
    "one-cycle-three-phases": (
        {"type": "OneCycleLR", "eta_max": 0.4, "total_steps": 12, "three_phase": True, "anneal_strategy": "linear"},
        lambda held: lr_scheduler.OneCycleLR(
            held, 0.4, total_steps=12, three_phase=True, anneal_strategy="linear", cycle_momentum=False
        ),
    ),
}


@pytest.mark.parametrize("name", TORCH_TWINS)
def test_schedule_equals_torch(name: str) -> None:
    cfg, make = TORCH_TWINS[name]
    steps = cfg.get("total_steps", 10)
    assert values(cfg, steps) == pytest.approx(torch_values(make, steps))


CLOSED_FORMS = {
    "linear warm-up from its begin": (
        {"type": "LinearLR", "start_factor": 0.2, "begin": 2, "end": 7},
        lambda step: BASE if step < 2 else BASE * min(0.2 + 0.8 * (step - 2) / 4, 1.0),
    ),
    "cosine between begin and end": (
        {"type": "CosineAnnealingLR", "T_max": 6, "eta_min": 0.02, "begin": 3, "end": 9},
        lambda step: BASE if step < 3 else 0.02 + (BASE - 0.02) * (1 + math.cos(math.pi * min(step - 3, 5) / 6)) / 2,
    ),
    "cosine to a share of the start": (
        {"type": "CosineAnnealingLR", "T_max": 8, "eta_min_ratio": 0.05, "begin": 0, "end": 8},
        lambda step: BASE * (0.05 + 0.95 * (1 + math.cos(math.pi * min(step, 7) / 8)) / 2),
    ),
    "polynomial with a floor": (
        {"type": "PolyLR", "power": 0.9, "eta_min": 0.01, "begin": 0, "end": 20},
        lambda step: 0.01 + (BASE - 0.01) * (1 - step / 19) ** 0.9,
    ),
    "quadratic warm-up": (
        {"type": "QuadraticWarmupLR", "begin": 0, "end": 5},
        lambda step: BASE * (min(step + 1, 5) / 5) ** 2,
    ),
    "cosine restarts": (
        {"type": "CosineRestartLR", "periods": [4, 6], "restart_weights": [1.0, 0.5], "eta_min": 0.0},
        lambda step: (
            BASE * (1 + math.cos(math.pi * step / 4)) / 2
            if step < 4
            else 0.5 * BASE * (1 + math.cos(math.pi * (step - 4) / 6)) / 2
        ),
    ),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_schedule_follows_its_closed_form(name: str) -> None:
    cfg, form = CLOSED_FORMS[name]
    assert values(cfg, 10) == pytest.approx([form(step) for step in range(10)])


def test_overlapping_schedules_multiply() -> None:
    held = optimizer()
    warm_up = PARAM_SCHEDULERS.build({"type": "LinearLR", "start_factor": 0.5, "end": 3}, optimizer=held)
    steps = PARAM_SCHEDULERS.build({"type": "MultiStepLR", "milestones": [1], "gamma": 0.1}, optimizer=held)
    found = []
    for _ in range(4):
        found.append(held.param_groups[0]["lr"])
        warm_up.step()
        steps.step()
    assert found == pytest.approx([0.05, 0.0075, 0.01, 0.01])


def test_epochs_become_iterations() -> None:
    wrapper = OptimWrapper(optimizer())
    cfg = {"type": "CosineAnnealingLR", "T_max": 2, "begin": 1, "end": 3, "convert_to_iter_based": True}
    [scheduler] = build_param_schedulers(cfg, wrapper, lengths=RunLengths(epoch_length=5, max_epochs=3))
    assert (scheduler.begin, scheduler.end, scheduler.T_max, scheduler.by_epoch) == (5, 15, 10, False)
    found = []
    for _ in range(15):
        found.append(wrapper.param_groups[0]["lr"])
        scheduler.step()
    assert found[:6] == pytest.approx([BASE] * 6)
    assert found[10] == pytest.approx(BASE / 2)


def test_milestones_steps_and_gamma_become_iterations() -> None:
    lengths = RunLengths(epoch_length=10, max_epochs=3)
    made = build_param_schedulers(
        [
            {"type": "MultiStepLR", "milestones": [1, 2], "convert_to_iter_based": True},
            {"type": "StepLR", "step_size": 2, "convert_to_iter_based": True},
            {"type": "ExponentialLR", "gamma": 0.5, "convert_to_iter_based": True},
        ],
        OptimWrapper(optimizer()),
        lengths=lengths,
    )
    assert made[0].milestones == [10, 20]
    assert made[1].step_size == 20
    assert made[2].gamma == pytest.approx(0.5**0.1)
    assert [each.end for each in made] == [30, 30, 30], "a schedule without an end ends with the run"


def test_momentum_schedule_moves_the_first_beta() -> None:
    held = Adam([torch.nn.Parameter(torch.zeros(1))], betas=(0.8, 0.99))
    scheduler = PARAM_SCHEDULERS.build({"type": "StepMomentum", "step_size": 1, "gamma": 0.5}, optimizer=held)
    scheduler.step()
    assert held.param_groups[0]["betas"] == (0.4, 0.99)


@pytest.mark.parametrize(
    "cfg",
    [
        {"type": "LinearLR", "start_factor": 0.0},
        {"type": "LinearLR", "begin": 5, "end": 5},
        {"type": "CosineAnnealingLR", "T_max": 3, "eta_min": 0.1, "eta_min_ratio": 0.1},
        {"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 5, "anneal_strategy": "sine"},
        {"type": "CosineRestartLR", "periods": [1, 2], "restart_weights": [1.0]},
        {"type": "OneCycleLR", "eta_max": [0.1, 0.2, 0.3], "total_steps": 5},
        {"type": "OneCycleLR", "eta_max": 0.1},
        {"type": "StepLR", "step_size": 0},
        {"type": "ConstantLR", "last_step": 3},
        {"type": "QuadraticWarmupLR"},
        {"type": "ConstantParamScheduler", "param_name": "no_such_option"},
    ],
    ids=lambda cfg: "-".join(str(each) for each in cfg.values()),
)
def test_wrong_schedule_is_refused(cfg: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PARAM_SCHEDULERS.build(cfg, optimizer=optimizer())
