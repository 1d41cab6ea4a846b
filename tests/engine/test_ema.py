"""Averaged weights: closed forms, torch's own averages, MMEngine's numbers, and what a checkpoint holds of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel as TorchAverage
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mimctl.engine.hooks import EMAHook, Hook
from mimctl.engine.model import ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage
from mimctl.engine.model.averaged import BaseAveragedModel, ExpMomentumEMA
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from tests.engine.ranks import on_ranks

MakeRunner = Callable[..., Runner]
WEIGHTS = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0]


class Small(nn.Module):
    """A weight, a number that is averaged on wish, and a counter."""

    number: Tensor
    counter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.register_buffer("number", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("counter", torch.tensor(0))

    def set(self, value: float, step: int) -> None:
        """Be the model after a step."""
        self.weight.data.fill_(value)
        self.number.fill_(10 * value)
        self.counter.fill_(step)


def averages(kind: type[BaseAveragedModel], **options: Any) -> tuple[list[float], list[float], list[int]]:
    """Return the averaged weight, number and counter after each of WEIGHTS."""
    model = Small()
    average: Any = kind(model, **options)
    seen: tuple[list[float], list[float], list[int]] = ([], [], [])
    for step, value in enumerate(WEIGHTS):
        model.set(value, step)
        average.update_parameters(model)
        held = (average.module.weight, average.module.number, average.module.counter)
        for values, tensor in zip(seen, held, strict=True):
            values.append(tensor.item())
    return seen


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (ExponentialMovingAverage, {"momentum": 0.25}, [1.0, 1.75, 1.8125, 3.359375, 3.76953125, 4.5771484375]),
        (ExponentialMovingAverage, {"momentum": 0.25, "interval": 2}, [1.0, 1.0, 1.25, 1.25, 2.1875, 2.1875]),
        (MomentumAnnealingEMA, {"momentum": 0.3, "gamma": 2}, [1.0, 3.0, 2.5, 4.7, 4.8, 5.46]),
        (MomentumAnnealingEMA, {"momentum": 0.01, "gamma": 4, "interval": 3}, [1.0, 1.0, 1.0, 5.0, 5.0, 5.0]),
        (StochasticWeightAverage, {}, [1.0, 2.5, 7 / 3, 3.75, 4.0, 4.5]),
        (StochasticWeightAverage, {"interval": 2}, [1.0, 1.0, 1.5, 1.5, 8 / 3, 8 / 3]),
    ],
)
def test_averages_are_those_of_mmengine(
    kind: type[BaseAveragedModel], options: dict[str, Any], expected: list[float]
) -> None:
    weights, numbers, counters = averages(kind, **options)
    assert weights == pytest.approx(expected, rel=1e-14)
    assert numbers == [10 * value for value in WEIGHTS], "buffers are copied"
    assert counters == list(range(6))
    weights, numbers, counters = averages(kind, update_buffers=True, **options)
    assert weights == pytest.approx(expected, rel=1e-14)
    assert numbers == pytest.approx([10 * value for value in expected], rel=1e-14)
    assert counters == list(range(6)), "whole numbers have no average; MMEngine leaves them at their first value"


def test_an_exponential_average_has_its_closed_form() -> None:
    share = 0.3
    weights, _, _ = averages(ExponentialMovingAverage, momentum=share)
    for step in range(len(WEIGHTS)):
        parts = [share * (1 - share) ** (step - at) * WEIGHTS[at] for at in range(1, step + 1)]
        assert weights[step] == pytest.approx((1 - share) ** step * WEIGHTS[0] + sum(parts), rel=1e-13)


def test_an_annealed_average_has_its_closed_form() -> None:
    momentum, gamma, expected = 0.05, 3, [WEIGHTS[0]]
    for step, value in enumerate(WEIGHTS[1:], start=1):
        share = (1 - momentum) * math.exp(-(1 + step) / gamma) + momentum
        expected.append((1 - share) * expected[-1] + share * value)
    assert averages(ExpMomentumEMA, momentum=momentum, gamma=gamma)[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda model: StochasticWeightAverage(model), lambda model: TorchAverage(model)),
        (
            lambda model: ExponentialMovingAverage(model, momentum=0.01),
            lambda model: TorchAverage(model, multi_avg_fn=get_ema_multi_avg_fn(0.99)),
        ),
    ],
    ids=["mean", "exponential"],
)
def test_averages_are_those_of_torch(ours: Any, theirs: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 5), nn.LayerNorm(5), nn.Linear(5, 3)).double()
    mine, torchs = ours(model), theirs(model)
    for _ in range(20):
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter))
        mine.update_parameters(model)
        torchs.update_parameters(model)
    for one, other in zip(mine.module.parameters(), torchs.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_a_subclass_may_average_tensor_by_tensor() -> None:
    class Largest(BaseAveragedModel):
        def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
            averaged_param.copy_(torch.maximum(averaged_param, source_param))

    assert averages(Largest)[0] == [1.0, 4.0, 4.0, 8.0, 8.0, 8.0]


def test_shared_weights_move_once() -> None:
    model = nn.Module()
    model.first = nn.Linear(2, 2)
    model.second = model.first
    average = ExponentialMovingAverage(model, momentum=0.5)
    start = model.first.weight.detach().clone()
    average.update_parameters(model)
    model.first.weight.data.add_(1.0)
    average.update_parameters(model)
    assert torch.allclose(average.module.first.weight, start + 0.5)  # type: ignore[union-attr]
    assert average.module.first is average.module.second


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 1.0}, {"momentum": -1.0}])
def test_a_share_outside_of_zero_and_one_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="momentum"):
        ExponentialMovingAverage(Small(), **options)
    with pytest.raises(ValueError, match="gamma"):
        MomentumAnnealingEMA(Small(), gamma=0)


class Weights(Hook):
    """Keep the trained weights after each iteration and the ones that each validation and checkpoint sees."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.trained: list[Tensor] = []
        self.validated: list[Tensor] = []
        self.saved: list[dict[str, Any]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.trained.append(_last(runner))

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.validated.append(_last(runner))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        copied = {key: {name: each.clone() for name, each in checkpoint[key].items()}
                  for key in ("state_dict", "ema_state_dict")}  # fmt: skip
        self.saved.append(copied)


def _last(runner: Runner) -> Tensor:
    weight: Tensor = runner.bare_model.last.weight  # type: ignore[union-attr,assignment]
    return weight.detach().clone()


@pytest.mark.parametrize(
    ("begin", "first"), [({}, 0), ({"begin_iter": 1}, 0), ({"begin_iter": 5}, 4), ({"begin_epoch": 2}, 3)]
)
def test_averaging_begins_where_it_is_told_to(make_runner: MakeRunner, begin: dict[str, int], first: int) -> None:
    seen = Weights()
    runner = make_runner(custom_hooks=[{"type": "EMAHook", "momentum": 0.25, **begin}, seen])
    runner.train()
    average, expected = seen.trained[0], []
    for step, weight in enumerate(seen.trained):
        average = weight if step <= first else average.lerp(weight, 0.25)
        expected.append(average)
    for epoch in range(3):
        assert torch.allclose(seen.validated[epoch], expected[3 * epoch + 2], atol=1e-7)
        saved = seen.saved[epoch]
        assert torch.allclose(saved["state_dict"]["last.weight"], expected[3 * epoch + 2], atol=1e-7)
        assert torch.equal(saved["ema_state_dict"]["module.last.weight"], seen.trained[3 * epoch + 2])
        assert saved["ema_state_dict"]["steps"] == max(0, 3 * epoch + 3 - first)
        assert set(saved["ema_state_dict"]) == {"steps", *(f"module.{key}" for key in saved["state_dict"])}
    assert torch.equal(_last(runner), seen.trained[-1])


def test_one_beginning_is_enough() -> None:
    with pytest.raises(ConfigError, match="not both"):
        EMAHook(begin_iter=1, begin_epoch=1)


@pytest.mark.parametrize("begin", [{"begin_iter": 10}, {"begin_epoch": 4}])
def test_averaging_that_would_never_begin_is_refused(make_runner: MakeRunner, begin: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="behind the end"):
        make_runner(custom_hooks=[{"type": "EMAHook", **begin}]).train()


@pytest.mark.parametrize("update_buffers", [False, True])
def test_a_checkpoint_of_the_middle_of_a_validation_is_that_of_before_it(
    make_runner: MakeRunner, update_buffers: bool
) -> None:
    class SaveInside(Hook):
        def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            runner.save_checkpoint(runner.work_dir, "inside.pth")

    ema = {"type": "EMAHook", "momentum": 0.25, "update_buffers": update_buffers}
    runner = make_runner(custom_hooks=[ema, SaveInside()])
    runner.train()
    before = torch.load(runner.work_dir / "epoch_3.pth", weights_only=True)
    inside = torch.load(runner.work_dir / "inside.pth", weights_only=True)
    for key in ("state_dict", "ema_state_dict"):
        for name, tensor in before[key].items():
            assert torch.equal(tensor, inside[key][name]), name


def test_a_checkpoint_of_mmengine_gives_the_average_and_goes_on_from_both(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    """As EMAHook of MMEngine writes it: the average as `state_dict`, the trained weights below `module.`."""
    shapes = dict(make_runner().bare_model.state_dict())
    averaged = {name: torch.full_like(tensor, 3) for name, tensor in shapes.items()}
    trained = {f"module.{name}": torch.full_like(tensor, 5) for name, tensor in shapes.items()}
    path = tmp_path / "theirs.pth"
    meta = {"epoch": 1, "iter": 3, "seed": 0}
    torch.save({"meta": meta, "state_dict": averaged, "ema_state_dict": {"steps": torch.tensor(3), **trained}}, path)
    hook = EMAHook(momentum=0.5)
    resumed = make_runner(custom_hooks=[hook], resume=str(path), train_cfg={"by_epoch": True, "max_epochs": 1})
    resumed.train()
    assert torch.equal(resumed.bare_model.last.weight, torch.full((1, 8), 5.0))  # type: ignore[union-attr,arg-type]
    assert torch.equal(hook.ema_model.module.last.weight, torch.full((1, 8), 3.0))
    assert hook.ema_model.steps == 3
    fresh = make_runner(custom_hooks=[EMAHook(momentum=0.5)], load_from=str(path), train_cfg={"max_epochs": 0})
    fresh.train()
    assert torch.equal(fresh.bare_model.last.weight, torch.full((1, 8), 3.0))  # type: ignore[union-attr,arg-type]


def average_of_a_rank(rank: int, folder: str) -> dict[str, Any]:
    """Train with EMAHook on this rank; return the average, the weights of each step and the average of the file."""
    from toy_experiment import ToyMetric, ToyModel, toy_loader

    seen = Weights()
    torch.manual_seed(0)
    runner = Runner(
        model=ToyModel(),
        work_dir=folder,
        train_dataloader=toy_loader(),
        val_dataloader=toy_loader(5, shuffle=False),
        val_evaluator=[ToyMetric()],
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05}},
        custom_hooks=[{"type": "EMAHook", "momentum": 0.25, "update_buffers": True}, seen],
        launcher="pytorch",
        randomness={"seed": 3},
    )
    runner.train()
    saved = seen.saved[-1]
    return {
        "trained": [each.flatten().tolist() for each in seen.trained],
        "validated": [each.flatten().tolist() for each in seen.validated],
        "saved": saved["state_dict"]["last.weight"].flatten().tolist(),
        "mean": saved["state_dict"]["norm.running_mean"].tolist(),
    }


def test_ranks_have_one_average(tmp_path: Path) -> None:
    first, second = on_ranks(average_of_a_rank, str(tmp_path))
    assert first["trained"] == second["trained"]
    assert first["validated"] == second["validated"]
    assert first["saved"] == second["saved"]
    assert first["mean"] == second["mean"]
    average = torch.tensor(first["trained"][0])
    for weight in first["trained"][1:]:
        average = average.lerp(torch.tensor(weight), 0.25)
    assert first["saved"] == pytest.approx(average.tolist(), rel=1e-6)
