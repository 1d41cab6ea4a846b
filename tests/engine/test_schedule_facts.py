"""Schedules against numbers: what MMEngine 0.10.7 gives, closed forms over drawn settings, resumed in the middle."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Adam, Optimizer

from mimctl.engine.optim import OptimWrapper
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule import ParamScheduler
from mimctl.engine.schedule.build import RunLengths, build_param_schedulers

FACTS = json.loads((Path(__file__).parent / "facts" / "schedules.json").read_text(encoding="utf-8"))
"""Schedulers over two groups (lr 0.1 and 0.01, momentum 0.9 or first beta 0.8) → the values at steps 0, 1, …"""

SCHEDULES = {
    "Constant": "factor",
    "CosineAnnealing": "T_max eta_min",
    "CosineRestart": "periods restart_weights eta_min eta_min_ratio",
    "Exponential": "gamma",
    "Linear": "start_factor end_factor",
    "MultiStep": "milestones gamma last_step",
    "OneCycle": "eta_max total_steps pct_start anneal_strategy div_factor final_div_factor three_phase",
    "Poly": "eta_min power",
    "QuadraticWarmup": "",
    "ReduceOnPlateau": "monitor rule factor patience threshold threshold_rule cooldown min_value eps",
    "Step": "step_size gamma",
}
"""Schedule → its own arguments by position, as MMEngine and MMDetection have them."""
COMMON = ["begin", "end", "last_step", "by_epoch", "verbose"]


def optimizer(kind: str = "SGD") -> Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]}, {"params": [torch.nn.Parameter(torch.zeros(1))]}]
    groups[1]["lr"] = 0.01
    if kind == "Adam":
        return Adam(groups, lr=0.1, betas=(0.8, 0.99))
    return SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.05)


def build(fact: dict[str, Any], held: Optimizer) -> list[ParamScheduler]:
    if "epoch_length" in fact:
        lengths = RunLengths(epoch_length=fact["epoch_length"])
        cfgs = [{**cfg, "convert_to_iter_based": True} for cfg in fact["schedulers"]]
        made = build_param_schedulers(cfgs, OptimWrapper(held), lengths=lengths)
        assert isinstance(made, list)
        return made
    return [PARAM_SCHEDULERS.build(cfg, optimizer=held) for cfg in fact["schedulers"]]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["name"])
def test_values_are_mmengines(fact: dict[str, Any]) -> None:
    held = optimizer(fact.get("optimizer", "SGD"))
    schedulers = build(fact, held)
    for step, expected in enumerate(fact["values"]):
        if "metrics" in fact:
            for each in schedulers:
                each.step()
                each.step({"m": fact["metrics"][step]})  # type: ignore[call-arg]
        found = [group[fact.get("param", "lr")] for group in held.param_groups]
        assert found == pytest.approx(expected, rel=1e-8), f"at step {step}"
        if "metrics" not in fact:
            for each in schedulers:
                each.step()
    for group in held.param_groups:
        assert fact.get("optimizer") != "Adam" or group["betas"] == (group["momentum"], 0.99)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("form", ["ParamScheduler", "LR", "Momentum"])
def test_arguments_go_by_position_as_mmengines_do(name: str, form: str) -> None:
    own = SCHEDULES[name].split()
    tail = [each for each in COMMON if each not in own] + (["eta_min_ratio"] if name == "CosineAnnealing" else [])
    generic = PARAM_SCHEDULERS.get(f"{name}ParamScheduler")
    found = list(inspect.signature(generic.__init__).parameters)
    assert found == ["self", "optimizer", "param_name", *own, *tail]
    assert issubclass(PARAM_SCHEDULERS.get(name + form), generic)


def test_first_positional_argument_of_a_learning_rate_schedule_is_its_own() -> None:
    held = optimizer()
    scheduler = PARAM_SCHEDULERS.get("MultiStepLR")(held, [1, 2], 0.5)
    scheduler.step()
    assert [group["lr"] for group in held.param_groups] == [0.05, 0.005]


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int]:
    begin = draw(st.integers(0, 6))
    return begin, begin + draw(st.integers(2, 9))


def run(cfg: dict[str, Any], bases: list[float], steps: int = 16) -> list[list[float]]:
    held = SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases], lr=1.0)
    scheduler = PARAM_SCHEDULERS.build(cfg, optimizer=held)
    found = []
    for _ in range(steps):
        found.append([float(group["lr"]) for group in held.param_groups])
        scheduler.step()
    return found


def acted(step: int, begin: int, end: int) -> int | None:
    """Return the step of the schedule in force, None before it begins."""
    return None if step < begin else min(step, end - 1) - begin


BASES = st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(window=windows(), bases=BASES, first=st.floats(0.01, 1.0), last=st.floats(0.01, 1.0))
def test_line_lies_between_begin_and_end(
    window: tuple[int, int], bases: list[float], first: float, last: float
) -> None:
    begin, end = window
    found = run({"type": "LinearLR", "start_factor": first, "end_factor": last, "begin": begin, "end": end}, bases)
    for step, values in enumerate(found):
        now = acted(step, begin, end)
        factor = 1.0 if now is None else first + (last - first) * now / (end - begin - 1)
        assert values == pytest.approx([base * factor for base in bases])


@settings(max_examples=60, deadline=None)
@given(window=windows(), bases=BASES, ratio=st.floats(0.0, 0.9), relative=st.booleans())
def test_cosine_falls_to_its_floor(window: tuple[int, int], bases: list[float], ratio: float, relative: bool) -> None:
    begin, end = window
    floor = {"eta_min_ratio": ratio} if relative else {"eta_min": ratio * min(bases)}
    found = run({"type": "CosineAnnealingLR", "begin": begin, "end": end, **floor}, bases)
    for step, values in enumerate(found):
        now = acted(step, begin, end)
        for base, value in zip(bases, values, strict=True):
            low = base * ratio if relative else floor["eta_min"]
            share = 1.0 if now is None else (1 + math.cos(math.pi * now / (end - begin))) / 2
            assert value == pytest.approx(low + (base - low) * share, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(window=windows(), bases=BASES, power=st.floats(0.3, 3.0), share=st.floats(0.0, 0.9))
def test_polynomial_ends_at_its_floor(window: tuple[int, int], bases: list[float], power: float, share: float) -> None:
    begin, end = window
    low = share * min(bases)
    found = run({"type": "PolyLR", "power": power, "eta_min": low, "begin": begin, "end": end}, bases)
    for step, values in enumerate(found):
        now = acted(step, begin, end)
        left = 1.0 if now is None else (1 - now / (end - begin - 1)) ** power
        assert values == pytest.approx([low + (base - low) * left for base in bases], rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    milestones=st.lists(st.integers(1, 12), max_size=5).map(sorted), begin=st.integers(0, 4), gamma=st.floats(0.1, 1.0)
)
def test_milestones_count_from_begin(milestones: list[int], begin: int, gamma: float) -> None:
    found = run({"type": "MultiStepLR", "milestones": milestones, "gamma": gamma, "begin": begin}, [0.3])
    for step, [value] in enumerate(found):
        assert value == pytest.approx(0.3 * gamma ** sum(each <= step - begin for each in milestones))


CURVES = [
    {"type": "CosineAnnealingLR", "T_max": 4, "eta_min": 0.001},
    {"type": "MultiStepLR", "milestones": [1, 3], "gamma": 0.5},
    {"type": "StepLR", "step_size": 2, "gamma": 0.5},
    {"type": "ExponentialLR", "gamma": 0.7},
    {"type": "CosineRestartLR", "periods": [2, 2], "restart_weights": [1, 0.5], "eta_min": 0.0},
]


@pytest.mark.parametrize("cfg", CURVES, ids=lambda cfg: cfg["type"])
@pytest.mark.parametrize("epoch_length", [1, 3, 10])
def test_converted_schedule_is_the_same_curve_in_finer_steps(cfg: dict[str, Any], epoch_length: int) -> None:
    by_epoch = run({**cfg, "begin": 0}, [0.1], steps=4)
    held = OptimWrapper(SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    [scheduler] = build_param_schedulers(
        {**cfg, "convert_to_iter_based": True}, held, lengths=RunLengths(epoch_length=epoch_length, max_epochs=4)
    )
    assert isinstance(scheduler, ParamScheduler)
    assert scheduler.end == 4 * epoch_length
    sampled = []
    for iteration in range(4 * epoch_length):
        if iteration % epoch_length == 0:
            sampled.append([held.param_groups[0]["lr"]])
        scheduler.step()
    assert sampled == [pytest.approx(values) for values in by_epoch]


@pytest.mark.parametrize("fact", [each for each in FACTS if "metrics" not in each], ids=lambda fact: fact["name"])
def test_schedule_goes_on_from_its_state(fact: dict[str, Any]) -> None:
    kind, option = fact.get("optimizer", "SGD"), fact.get("param", "lr")
    first = optimizer(kind)
    schedulers = build(fact, first)
    for _ in range(5):
        for each in schedulers:
            each.step()
    states = json.loads(json.dumps([each.state_dict() for each in schedulers]))
    second = optimizer(kind)
    resumed = build(fact, second)
    second.load_state_dict(first.state_dict())
    for each, state in zip(resumed, states, strict=True):
        state = {key: _keyed(value) for key, value in state.items()}  # JSON has no numbers for keys
        each.load_state_dict(state)
    for _ in range(6):
        for each in (*schedulers, *resumed):
            each.step()
        assert [group[option] for group in second.param_groups] == [group[option] for group in first.param_groups]


def _keyed(value: Any) -> Any:
    return {int(key): each for key, each in value.items()} if isinstance(value, dict) else value


def test_schedule_goes_on_by_its_last_step_where_the_optimizer_knows_the_initial_values() -> None:
    held = SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.05, "initial_lr": 0.1}], lr=1.0)
    PARAM_SCHEDULERS.build({"type": "MultiStepLR", "milestones": [3], "gamma": 0.1, "last_step": 2}, optimizer=held)
    assert held.param_groups[0]["lr"] == pytest.approx(0.005)


def test_custom_schedule_of_the_field_gives_all_values_at_once() -> None:
    class Halving(ParamScheduler):
        def _get_value(self) -> list[float]:
            return [base / 2**self.last_step for base in self.base_values]

    held = optimizer()
    scheduler = Halving(held, "lr")
    scheduler.step()
    assert scheduler.get_last_value() == [0.05, 0.005]


def test_verbose_schedule_logs_what_it_sets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    PARAM_SCHEDULERS.build({"type": "ConstantLR", "factor": 0.5, "verbose": True}, optimizer=optimizer())
    assert "lr of parameter group 1: 5.0000e-03" in caplog.text
