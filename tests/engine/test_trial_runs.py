"""Trying a run out before it is long: a few batches of everything, a validation before the first epoch."""

from __future__ import annotations

import csv
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_experiment import ToyMetric

from mimctl import __version__
from mimctl.engine.actions import train
from mimctl.engine.hooks import Hook
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from mimctl.spec import RunSpec

MakeRunner = Callable[..., Runner]
Loader = Callable[..., dict[str, Any]]


class BrokenMetric(ToyMetric):
    """A metric with a mistake that only its last step meets."""

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        raise ZeroDivisionError("no boxes at all")


class Points(Hook):
    """Note what happens."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.calls.append("train")

    def after_val_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.calls.append("val")

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self.calls.append("save")


@pytest.mark.parametrize(
    ("batches", "train_cfg", "expected"),
    [
        (True, {"max_epochs": 300, "val_begin": 20, "val_interval": 10}, ["train", "save", "val", "save"]),
        (2, {"max_epochs": 300, "dynamic_intervals": [(280, 1)]}, ["train"] * 2 + ["save"] + ["val"] * 2 + ["save"]),
        (2, {"max_iters": 9000, "val_interval": 500}, ["train"] * 2 + ["val"] * 2 + ["save"]),
    ],
    ids=["one batch", "two batches", "iterations"],
)
def test_fast_dev_run_does_all_once_and_keeps_nothing(
    make_runner: MakeRunner, loader: Loader, tmp_path: Path, batches: int, train_cfg: Any, expected: list[str]
) -> None:
    points = Points()
    by_epoch = "max_epochs" in train_cfg
    runner = make_runner(
        train_cfg=train_cfg,
        train_dataloader=loader(40),
        val_dataloader=loader(40, shuffle=False),
        default_hooks={"checkpoint": {"by_epoch": by_epoch, "interval": 1 if by_epoch else 9000,
                                      "save_last": by_epoch, "save_best": "toy/accuracy"}},
        custom_hooks=[points],
        fast_dev_run=batches,
    )  # fmt: skip
    runner.train()
    assert points.calls == expected
    assert not (tmp_path / "run").exists()
    kept = runner.work_dir
    assert kept.is_dir()
    del runner, points
    gc.collect()
    assert not kept.exists()


def test_fast_dev_run_cannot_shorten_a_built_loader(make_runner: MakeRunner) -> None:
    built = torch.utils.data.DataLoader([1, 2, 3])
    with pytest.raises(ConfigError, match="`val_dataloader`, which is built"):
        make_runner(val_dataloader=built, fast_dev_run=True)


def test_fast_dev_run_of_a_config_leaves_an_earlier_run_alone(tmp_path: Path) -> None:
    config = tmp_path / "toy.py"
    config.write_text(
        """
custom_imports = dict(imports=["toy_experiment"])
model = dict(type="ToyModel")
train_dataloader = dict(
    dataset=dict(type="ToyData", size=16), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=4)
train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
"""
    )
    work_dir = tmp_path / "work"
    run_dir = work_dir / "20260101_000000"
    spec = RunSpec(
        plugin="toy", package="toy", action="train", entry="mimctl.engine.actions:train", mimctl_version=__version__,
        config=str(config), work_dir=str(work_dir), events_path=str(run_dir / "events.jsonl"),
        overrides={"fast_dev_run": 1}, resume="auto",
    )  # fmt: skip
    work_dir.mkdir()
    (work_dir / "epoch_2.pth").write_bytes(b"of an earlier run")
    result = train(spec)
    assert (result["checkpoint"], result["epoch"], result["iter"]) == (None, 1, 1)
    assert sorted(path.name for path in work_dir.iterdir()) == ["20260101_000000", "epoch_2.pth"]


def test_limits_of_batches_are_keys_of_the_dataloaders(make_runner: MakeRunner, loader: Loader) -> None:
    points = Points()
    runner = make_runner(
        train_cfg={"max_epochs": 1},
        train_dataloader=loader(40, num_batch_per_epoch=3),
        val_dataloader=loader(40, shuffle=False, num_batch_per_epoch=2),
        custom_hooks=[points],
    )
    runner.train()
    assert points.calls == ["train"] * 3 + ["save"] + ["val"] * 2
    assert runner.max_iters == 3


def test_mistake_of_the_validation_shows_before_the_first_epoch(make_runner: MakeRunner) -> None:
    points = Points()
    runner = make_runner(
        train_cfg={"max_epochs": 2, "num_sanity_val_steps": 1}, val_evaluator=[BrokenMetric()], custom_hooks=[points]
    )
    with pytest.raises(ZeroDivisionError, match="no boxes"):
        runner.train()
    assert points.calls == []


@pytest.mark.parametrize("train_cfg", [{"max_epochs": 2}, {"max_iters": 6, "val_interval": 3}], ids=["epochs", "iters"])
def test_validation_tried_out_changes_nothing(make_runner: MakeRunner, tmp_path: Path, train_cfg: Any) -> None:
    runners = []
    for steps in (0, 2):
        runner = make_runner(work_dir=tmp_path / str(steps), train_cfg={**train_cfg, "num_sanity_val_steps": steps})
        runner.train()
        runners.append(runner)
    plain, tried = (each.bare_model.state_dict() for each in runners)
    assert all(torch.equal(plain[name], tried[name]) for name in plain)
    histories = [each.message_hub.get_scalar("val/toy/count").count for each in runners]
    assert histories[0] == histories[1] == 2


def test_resumed_run_does_not_try_its_validation_again(make_runner: MakeRunner, tmp_path: Path) -> None:
    first = make_runner(train_cfg={"max_epochs": 1})
    first.train()
    calls: list[int] = []
    second = make_runner(
        train_cfg={"max_epochs": 2, "num_sanity_val_steps": 1}, resume=str(first.work_dir / "epoch_1.pth")
    )
    second.val_loop.try_out = calls.append
    second.train()
    assert calls == []
    assert second.epoch == 2


def test_log_line_says_how_many_samples_a_second(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.train()
    record = json.loads((runner.log_dir / "vis_data" / "scalars.json").read_text().splitlines()[0])
    assert record["samples_per_s"] == pytest.approx(4 / record["time"])
    assert f"samples_per_s: {record['samples_per_s']:.1f}" in (runner.log_dir / f"{runner.timestamp}.log").read_text()


@pytest.mark.parametrize("validates", [True, False])
def test_summary_has_a_row_for_each_epoch(make_runner: MakeRunner, validates: bool) -> None:
    runner = make_runner(**({} if validates else {"val_dataloader": None, "val_evaluator": None}))
    runner.train()
    with (runner.log_dir / "vis_data" / "summary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["epoch"], row["iter"]) for row in rows] == [("1", "3"), ("2", "6"), ("3", "9")]
    logged = [json.loads(line) for line in (runner.log_dir / "vis_data" / "scalars.json").read_text().splitlines()]
    lines = [line for line in logged if "loss" in line]
    assert [float(row["loss_line"]) for row in rows] == [line["loss_line"] for line in lines]
    metrics = [line["toy/accuracy"] for line in logged if "toy/accuracy" in line]
    assert [float(row["toy/accuracy"]) for row in rows if "toy/accuracy" in row] == metrics
    assert len(metrics) == (3 if validates else 0)


def test_summary_of_an_iteration_loop_has_a_row_for_each_validation(make_runner: MakeRunner) -> None:
    runner = make_runner(train_cfg={"max_iters": 5, "val_interval": 2})
    runner.train()
    with (runner.log_dir / "vis_data" / "summary.csv").open(newline="") as stream:
        assert [row["iter"] for row in csv.DictReader(stream)] == ["2", "4", "5"]
