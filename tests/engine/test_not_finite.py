"""A loss that is no number: the first bad term, its iteration and its rank are named exactly, wherever it is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import on_two_ranks
from torch.amp.grad_scaler import GradScaler

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.hooks import Hook
from mimctl.engine.runner import Runner
from mimctl.errors import MimctlError

MakeRunner = Callable[..., Runner]
NAN, INF = float("nan"), float("inf")


class Losses(Hook):
    """Give a step the loss terms of a table: iteration (1-based) → terms."""

    priority = "HIGHEST"

    def __init__(self, table: dict[int, dict[str, float]]) -> None:
        self.table = table

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        outputs.clear()
        terms = {name: torch.tensor(value) for name, value in self.table.get(runner.iter + 1, {"loss_a": 1.0}).items()}
        outputs.update({"loss": torch.stack(list(terms.values())).sum(), **terms})


def trained(make_runner: MakeRunner, table: dict[int, dict[str, float]], **options: Any) -> Runner:
    interval = options.pop("interval", 100)
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 30, "val_interval": 100},
        val_dataloader=None,
        default_hooks={"logger": {"type": "LoggerHook", "interval": interval}, "checkpoint": None},
        custom_hooks=[Losses(table)],
    )
    prepare = options.pop("prepare", None)
    if prepare is not None:
        prepare(runner)
    runner.train()
    return runner


FINE = {"loss_a": 1.0, "loss_b": 2.0}
BAD_FROM_NOW_ON = {step: {"loss_a": NAN, "loss_b": NAN} for step in range(1, 31)}


@pytest.mark.parametrize("interval", [1, 4, 7, 100])
@pytest.mark.parametrize(
    ("table", "term", "iteration"),
    [
        ({7: {"loss_a": 1.0, "loss_b": NAN}}, "loss_b", 7),
        ({7: {"loss_a": INF, "loss_b": NAN}}, "loss_a", 7),
        ({7: {"loss_a": INF, "loss_b": -INF}}, "loss_a", 7),
        ({7: {"loss_a": 1.0, "loss_b": NAN}, 8: {"loss_a": NAN, "loss_b": NAN}}, "loss_b", 7),
        ({**BAD_FROM_NOW_ON, **dict.fromkeys(range(1, 12), FINE)}, "loss_a", 12),
        # A term that is not there in every step.
        ({step: FINE if step % 5 == 0 else {"loss_a": 1.0} for step in range(1, 30)} | {10: {"loss_b": NAN}},
         "loss_b", 10),
        ({1: {"loss_a": NAN}}, "loss_a", 1),
        ({30: {"loss_a": NAN}}, "loss_a", 30),
    ],
    ids=["one term", "two terms", "opposite infinities", "spreads", "for good", "rare term", "first", "last"],
)  # fmt: skip
def test_first_bad_term_is_named_with_its_iteration(
    make_runner: MakeRunner, table: dict[int, dict[str, float]], term: str, iteration: int, interval: int
) -> None:
    with pytest.raises(MimctlError) as caught:
        trained(make_runner, table, interval=interval)
    assert caught.value.code == "loss-not-finite"
    assert caught.value.details == {"term": term, "iteration": iteration}
    assert f"`{term}` became" in caught.value.message
    assert "not remembered" not in " ".join(caught.value.causes)


def scaling(runner: Runner) -> None:
    runner.optim_wrapper.loss_scaler = GradScaler("cpu", enabled=True)  # type: ignore[attr-defined]


def test_overflow_that_a_loss_scaler_skips_is_no_error(make_runner: MakeRunner) -> None:
    skipped = {7: {"loss_a": INF}, 8: {"loss_a": NAN}, 20: {"loss_a": INF}}
    assert trained(make_runner, skipped, interval=8, prepare=scaling).iter == 30


def test_loss_that_stays_bad_is_an_error_with_a_loss_scaler_too(make_runner: MakeRunner) -> None:
    table = {4: {"loss_a": INF}, **{step: {"loss_a": NAN} for step in range(9, 31)}}
    with pytest.raises(MimctlError) as caught:
        trained(make_runner, table, interval=100, prepare=scaling)
    assert caught.value.details == {"term": "loss_a", "iteration": 9}


class BadMetric(BaseMetric):
    """A metric that is not a number."""

    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"accuracy": NAN, "other": INF}


def test_metric_that_is_no_number_ends_nothing_and_is_never_the_best(make_runner: MakeRunner, tmp_path: Path) -> None:
    hooks = {"checkpoint": {"interval": 1, "save_best": "toy/accuracy"}}
    runner = make_runner(work_dir=tmp_path, val_evaluator=[BadMetric()], default_hooks=hooks)
    runner.train()
    assert not list(tmp_path.glob("best_*"))

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    lines = (runner.log_dir / "vis_data" / "scalars.json").read_text().splitlines()
    assert any(json.loads(line, parse_constant=refuse).get("toy/accuracy", 0) is None for line in lines)


def nan_on_one_rank(rank: int) -> dict[str, Any]:
    """Train on two ranks; the loss of rank 1 is bad from iteration 3 on, that of rank 0 one step later."""
    import tempfile

    from toy_experiment import ToyModel, toy_loader

    begins = 4 - rank
    table = {step: {"loss_a": NAN if step >= begins else 1.0} for step in range(1, 9)}
    runner = Runner(
        model=ToyModel(),
        work_dir=tempfile.mkdtemp(),
        train_dataloader=toy_loader(16, batch_size=2),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.01}},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 4}, "checkpoint": None},
        custom_hooks=[Losses(table)],
        randomness={"seed": 1},
    )
    try:
        runner.train()
    except MimctlError as err:
        return {**err.to_dict(), "is_culprit": rank == 1}
    return {}


def test_rank_whose_loss_went_bad_first_is_named_by_all(tmp_path: Path) -> None:
    for told in on_two_ranks(nan_on_one_rank, tmp_path):
        assert told["message"] == "the loss term `loss_a` became nan at iteration 3 on rank 1"
