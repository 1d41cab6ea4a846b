"""Schedules in a run: what counts as a step, what a plateau watches, which optimizer a schedule belongs to."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer, lr_scheduler

from mimctl.engine.hooks import Hook, ParamSchedulerHook
from mimctl.engine.optim import OptimWrapper, OptimWrapperDict
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule import ParamScheduler, build_param_schedulers
from mimctl.engine.schedule.build import RunLengths, Schedulers
from mimctl.errors import ConfigError

BASE = 0.1


def optimizer(lr: float = BASE) -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def train(wrapper: OptimWrapper, schedulers: Schedulers, iterations: int) -> list[float]:
    """Train by iterations with the hook that steps schedulers; return the learning rate of each optimizer step."""
    hook = ParamSchedulerHook()
    runner: Any = SimpleNamespace(param_schedulers=schedulers, is_training=True)
    wrapper.initialize_count_status(torch.nn.Linear(1, 1), wrapper.inner_count, iterations)
    [param] = wrapper.optimizer.param_groups[0]["params"]
    rates = []
    for iteration in range(iterations):
        wrapper.update_params((param * 1.0).sum())
        if wrapper.should_update():
            rates.append(wrapper.optimizer.param_groups[0]["lr"])
        hook.after_train_iter(runner, iteration)
    return rates


LINE = {"type": "LinearLR", "start_factor": 0.25, "by_epoch": False, "begin": 0, "end": 4}
STEPS = {"type": "LinearLR", "start_factor": 0.25, "begin": 0, "end": 4, "by_optimizer_step": True}


@pytest.mark.parametrize("accumulated", [1, 2, 3])
def test_schedule_in_optimizer_steps_is_that_of_the_large_batch(accumulated: int) -> None:
    large = OptimWrapper(optimizer())
    expected = train(large, build_param_schedulers(LINE, large, lengths=RunLengths(max_iters=6)), 6)
    wrapper = OptimWrapper(optimizer(), accumulative_counts=accumulated)
    iterations = 6 * accumulated - (accumulated - 1)  # the last step is of one loss alone
    made = build_param_schedulers(STEPS, wrapper, lengths=RunLengths(max_iters=iterations))
    assert train(wrapper, made, iterations) == expected
    assert expected == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_schedule_by_iteration_counts_iterations_whatever_is_accumulated() -> None:
    wrapper = OptimWrapper(optimizer(), accumulative_counts=2)
    made = build_param_schedulers(LINE, wrapper, lengths=RunLengths(max_iters=8))
    assert train(wrapper, made, 8) == pytest.approx([0.05, 0.1, 0.1, 0.1])


def test_schedule_in_optimizer_steps_ends_with_the_last_of_them() -> None:
    wrapper = OptimWrapper(optimizer(), accumulative_counts=4)
    [made] = build_param_schedulers({**STEPS, "end": None}, wrapper, lengths=RunLengths(max_iters=10, max_epochs=2))
    assert isinstance(made, ParamScheduler)
    assert (made.end, made.by_epoch) == (3, False)


@pytest.mark.parametrize("also", [{"by_epoch": True}, {"convert_to_iter_based": True}])
def test_schedule_in_optimizer_steps_counts_nothing_else(also: dict[str, bool]) -> None:
    with pytest.raises(ConfigError, match="counts no epochs"):
        build_param_schedulers({**STEPS, **also}, OptimWrapper(optimizer()))


def test_each_optimizer_has_schedules_of_its_own() -> None:
    wrappers = OptimWrapperDict(g=OptimWrapper(optimizer(0.1)), d=OptimWrapper(optimizer(0.2)))
    cfg = {"g": [{"type": "StepLR", "step_size": 1, "by_epoch": False}], "d": {"type": "ConstantLR", "factor": 0.5}}
    made = build_param_schedulers(cfg, wrappers, lengths=RunLengths(max_iters=3, max_epochs=3))
    assert isinstance(made, dict)
    hook = ParamSchedulerHook()
    hook.after_train_iter(SimpleNamespace(param_schedulers=made), 0)  # type: ignore[arg-type]
    assert wrappers.get_lr() == {"g.lr": [pytest.approx(0.01)], "d.lr": [0.1]}


def test_one_schedule_acts_on_every_optimizer() -> None:
    wrappers = OptimWrapperDict(g=OptimWrapper(optimizer(0.1)), d=OptimWrapper(optimizer(0.2)))
    build_param_schedulers([{"type": "ConstantLR", "factor": 0.5, "end": 3}], wrappers)
    assert wrappers.get_lr() == {"g.lr": [0.05], "d.lr": [0.1]}


def test_schedules_for_an_optimizer_that_is_not_there_are_refused() -> None:
    wrappers = OptimWrapperDict(generator=OptimWrapper(optimizer()))
    with pytest.raises(ConfigError, match="generatr") as caught:
        build_param_schedulers({"generatr": {"type": "ConstantLR"}}, wrappers)
    assert any("`generator`" in hint for hint in caught.value.hints)


PLATEAUS = [
    ({"rule": "less"}, {"mode": "min"}),
    ({"rule": "greater"}, {"mode": "max"}),
    ({"rule": "less", "threshold_rule": "abs", "threshold": 0.2}, {"mode": "min", "threshold_mode": "abs"}),
    ({"rule": "greater", "cooldown": 2}, {"mode": "max", "cooldown": 2}),
    ({"rule": "less", "min_value": 0.03}, {"mode": "min", "min_lr": 0.03}),
]


@pytest.mark.parametrize(("ours", "theirs"), PLATEAUS, ids=lambda each: "-".join(map(str, each.values())))
@pytest.mark.parametrize("seed", range(3))
def test_plateau_equals_torch(ours: dict[str, Any], theirs: dict[str, Any], seed: int) -> None:
    series = torch.rand(30, generator=torch.Generator().manual_seed(seed)).tolist()
    held, reference = optimizer(), optimizer()
    common = {"factor": 0.5, "patience": 1}
    scheduler = PARAM_SCHEDULERS.build({"type": "ReduceOnPlateauLR", "monitor": "m", **common, **ours}, optimizer=held)
    if "threshold" in ours:
        theirs = {**theirs, "threshold": ours["threshold"]}
    twin = lr_scheduler.ReduceLROnPlateau(reference, **common, **theirs)
    for value in series:
        scheduler.step({"m": value})
        twin.step(value)
        assert held.param_groups[0]["lr"] == pytest.approx(reference.param_groups[0]["lr"])


def test_plateau_begins_by_the_epochs_of_the_training_not_by_validations() -> None:
    held = optimizer()
    cfg = {"type": "ReduceOnPlateauLR", "monitor": "m", "patience": 0, "factor": 0.5, "begin": 4, "end": 9}
    schedulers = [PARAM_SCHEDULERS.build(cfg, optimizer=held)]
    hook = ParamSchedulerHook()
    runner: Any = SimpleNamespace(param_schedulers=schedulers, is_training=True)
    found = []
    for epoch in range(1, 11):
        hook.after_train_epoch(runner)
        if epoch % 2 == 0:  # a validation every second epoch
            hook.after_val_epoch(runner, {"m": 1.0})
            found.append(held.param_groups[0]["lr"])
    assert found == pytest.approx([BASE, BASE, BASE / 2, BASE / 4, BASE / 4])


def test_plateau_names_what_is_reported_when_its_metric_is_not() -> None:
    scheduler = PARAM_SCHEDULERS.build({"type": "ReduceOnPlateauLR", "monitor": "bbox_mAP"}, optimizer=optimizer())
    with pytest.raises(ConfigError, match="watches `bbox_mAP`") as caught:
        scheduler.step({"coco/bbox_mAP": 0.5})
    assert any("`coco/bbox_mAP`" in hint for hint in caught.value.hints)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_momentum_in_one_cycle_equals_torch(kind: str) -> None:
    def make() -> Optimizer:
        parameters = [torch.nn.Parameter(torch.zeros(1))]
        return SGD(parameters, lr=0.1, momentum=0.9) if kind == "SGD" else Adam(parameters, lr=0.1)

    held, reference = make(), make()
    twin = lr_scheduler.OneCycleLR(reference, 0.4, total_steps=10, base_momentum=0.85, max_momentum=0.95)
    cfg = {"type": "OneCycleMomentum", "eta_max": 0.85, "div_factor": 0.85 / 0.95, "final_div_factor": 1.0}
    scheduler = PARAM_SCHEDULERS.build({**cfg, "total_steps": 10}, optimizer=held)
    for _ in range(9):
        found, expected = held.param_groups[0], reference.param_groups[0]
        assert found.get("betas", [found.get("momentum")])[0] == pytest.approx(
            expected.get("betas", [expected.get("momentum")])[0]
        )
        scheduler.step()
        reference.step()
        twin.step()


def test_momentum_of_an_optimizer_without_any_is_refused() -> None:
    held = torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ConfigError, match="neither `momentum` nor `betas`"):
        PARAM_SCHEDULERS.build({"type": "StepMomentum", "step_size": 1}, optimizer=held)


class Rates(Hook):
    """Remember the learning rate of each step of the optimizer."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if runner.optim_wrapper.should_update():
            self.rates.append(runner.optim_wrapper.optimizer.param_groups[0]["lr"])


def test_run_that_accumulates_warms_up_over_optimizer_steps_and_goes_on_so(
    make_runner: Callable[..., Any], tmp_path: Path
) -> None:
    options = {
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": 2},
        "param_scheduler": [STEPS, {"type": "CosineAnnealingLR", "by_optimizer_step": True}],
        "train_cfg": {"by_epoch": False, "max_iters": 9},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}},
    }
    whole, rest = Rates(), Rates()
    runner = make_runner(**options, custom_hooks=[whole], work_dir=tmp_path / "whole")
    runner.train()
    cosine = [(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)]
    warm_up = [0.25, 0.5, 0.75, 1.0, 1.0]
    assert whole.rates == pytest.approx([BASE * a * b for a, b in zip(warm_up, cosine, strict=True)])
    resumed = make_runner(
        **options, custom_hooks=[rest], work_dir=tmp_path / "rest", resume=str(tmp_path / "whole" / "iter_5.pth")
    )
    resumed.train()
    assert rest.rates == whole.rates[2:]
