"""What MMEngine 0.10.7 does, hook by hook: when a count is reached, when a run stops, which hook acts where."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mimctl.config.metric_rule import rule_of
from mimctl.engine.data import BaseDataset
from mimctl.engine.hooks import EarlyStoppingHook, Hook
from mimctl.engine.hooks.build import DEFAULT_HOOKS
from mimctl.engine.hooks.hook import HOOK_POINTS, acts_at, get_priority
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.messages import MessageHub
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from tests.engine.ranks import on_ranks

MakeRunner = Callable[..., Runner]


@pytest.mark.parametrize(
    ("n", "start", "expected"),
    [
        (0, 0, []),
        (-1, 1, []),
        (1, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (1, 2, [2, 3, 4, 5, 6, 7, 8]),
        (2, 0, [2, 4, 6, 8]),
        (2, 1, [1, 3, 5, 7]),
        (2, 2, [2, 4, 6, 8]),
        (3, 1, [1, 4, 7]),
        (3, 2, [2, 5, 8]),
    ],
)
def test_every_n_counts_from_its_start(n: int, start: int, expected: list[int]) -> None:
    hook = Hook()
    runners: list[Any] = [SimpleNamespace(epoch=done, iter=done) for done in range(8)]
    assert [each.epoch + 1 for each in runners if hook.every_n_epochs(each, n, start)] == expected
    assert [each.iter + 1 for each in runners if hook.every_n_train_iters(each, n, start)] == expected
    assert [idx + 1 for idx in range(8) if hook.every_n_inner_iters(idx, n)] == (
        [done for done in range(1, 9) if n > 0 and done % n == 0]
    )


def test_the_last_iteration_of_an_epoch_and_of_a_run(make_runner: MakeRunner) -> None:
    seen: list[tuple[bool, bool, bool]] = []

    class Note(Hook):
        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            ends = self.end_of_epoch(runner.train_dataloader, batch_idx)
            seen.append((ends, self.is_last_train_epoch(runner), self.is_last_train_iter(runner)))

    make_runner(custom_hooks=[Note()], train_cfg={"by_epoch": True, "max_epochs": 2}).train()
    assert seen == [
        (False, False, False), (False, False, False), (True, False, False),
        (False, True, False), (False, True, False), (True, True, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "options", "stops_after"),
    [
        ([0.5, 0.5, 0.51, 0.5], {"monitor": "acc", "patience": 2}, 3),
        ([0.5, 0.6, 0.7, 0.8], {"monitor": "acc", "patience": 1}, None),
        ([0.5, 0.5, 0.5, 0.5, 0.5], {"monitor": "acc", "patience": 2, "min_delta": 0.0}, None),
        ([0.5, 0.4, 0.5, 0.6, 0.6, 0.5], {"monitor": "acc", "patience": 2, "min_delta": 0.0}, None),
        ([0.25, 0.5, 0.75, 0.75, 0.75], {"monitor": "acc", "patience": 2, "min_delta": 0.25}, 5),
        ([3.0, 2.0, 2.5, 1.95, 1.9], {"monitor": "loss", "patience": 2}, 4),
        ([3.0, 2.0, 1.0, 0.5], {"monitor": "loss", "patience": 2, "stopping_threshold": 1.0}, 4),
        ([0.5, 0.9, 0.91], {"monitor": "acc", "patience": 9, "stopping_threshold": 0.9}, 3),
        ([0.5, nan, 0.6], {"monitor": "acc", "patience": 2}, 2),
        ([0.5, nan, 0.6, 0.6, 0.6], {"monitor": "acc", "patience": 2, "check_finite": False}, 5),
        ([0.5, inf, 0.6], {"monitor": "acc", "patience": 2}, 2),
        ([0.5, 0.55, 0.6, 0.65, 0.7], {"monitor": "acc", "patience": 2}, None),
        ([0.5, 0.45, 0.4], {"monitor": "x", "rule": "less", "patience": 1}, 2),
        ([0.5, 0.45, 0.4, 0.3], {"monitor": "acc", "patience": 2, "min_delta": -0.1}, None),
    ],
)
def test_early_stopping_stops_where_mmengine_does(
    metrics: list[float], options: dict[str, Any], stops_after: int | None
) -> None:
    hook = EarlyStoppingHook(**options)
    loop = SimpleNamespace(stop_training=False)
    runner: Any = SimpleNamespace(is_training=True, message_hub=MessageHub(), train_loop=loop)
    stopped = None
    for number, value in enumerate(metrics, start=1):
        hook.after_val_epoch(runner, {options["monitor"]: value})
        if loop.stop_training:
            stopped = number
            break
    assert stopped == stops_after


def test_early_stopping_asks_for_a_metric_that_is_there() -> None:
    runner: Any = SimpleNamespace(is_training=True, message_hub=MessageHub())
    EarlyStoppingHook("acc").after_val_epoch(runner, {"other": 1.0})
    with pytest.raises(ConfigError, match="acc") as caught:
        EarlyStoppingHook("acc", strict=True).after_val_epoch(runner, {"other": 1.0})
    assert "`other`" in caught.value.hints[0]
    with pytest.raises(ConfigError, match="`x`"):
        EarlyStoppingHook("x")


def test_early_stopping_goes_on_counting_after_a_resume(make_runner: MakeRunner) -> None:
    options = {
        "train_cfg": {"by_epoch": True, "max_epochs": 9},
        "custom_hooks": [{"type": "EarlyStoppingHook", "monitor": "toy/accuracy", "min_delta": 100.0, "patience": 3}],
    }
    whole = make_runner(**options)
    whole.train()
    assert whole.epoch == 4
    path = whole.work_dir / "epoch_3.pth"
    resumed = make_runner(resume=str(path), work_dir=whole.work_dir.parent / "resumed", **options)
    resumed.train()
    assert resumed.epoch == 4


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("acc", "greater"),
        ("val/loss", "less"),
        ("coco/bbox_mAP", "greater"),
        ("top1", "greater"),
        ("AR@100", "greater"),
        ("mIoU", "greater"),
        ("auc", "greater"),
        ("precision", "greater"),
        ("accuracy/top1", "greater"),
    ],
)
def test_the_name_of_a_metric_tells_its_rule(name: str, rule: str) -> None:
    assert rule_of(name) == rule


POINTS = {
    "RuntimeInfoHook": "before_run before_train before_train_epoch before_train_iter after_train_iter "
    "after_val_epoch after_test_epoch",
    "IterTimerHook": "before_train before_train_epoch before_val_epoch before_test_epoch before_train_iter "
    "after_train_iter before_val_iter after_val_iter before_test_iter after_test_iter",
    "DistSamplerSeedHook": "before_train_epoch",
    "LoggerHook": "before_train before_train_epoch after_train_iter after_train_epoch before_val_epoch after_val_iter "
    "after_val_epoch "
    "before_test_epoch after_test_iter after_test_epoch",
    "ParamSchedulerHook": "after_train_iter after_train_epoch after_val_epoch",
    "CheckpointHook": "before_train after_train after_train_iter after_train_epoch after_val_epoch",
    "EMAHook": "before_run before_train after_train_iter before_val_epoch after_val_epoch before_test_epoch "
    "after_test_epoch before_save_checkpoint after_load_checkpoint",
    "EarlyStoppingHook": "after_val_epoch",
    "EmptyCacheHook": "before_train_epoch before_val_epoch before_test_epoch after_train_epoch after_val_epoch "
    "after_test_epoch after_train_iter after_val_iter after_test_iter",
    "SyncBuffersHook": "after_train_epoch before_val_epoch",
    "PipelineSwitchHook": "before_train_epoch",
    "ProfilerHook": "before_train after_train_iter after_train_epoch",
    "MemoryProfilerHook": "after_train_iter after_val_iter after_test_iter",
    "PrepareTTAHook": "before_test",
    "PreemptionHook": "before_run before_train after_train_iter after_train_epoch before_val after_val_iter after_val "
    "before_save_checkpoint after_run",
}
MMENGINE_PRIORITIES = {
    "RuntimeInfoHook": 10,
    "IterTimerHook": 50,
    "DistSamplerSeedHook": 50,
    "LoggerHook": 60,
    "ParamSchedulerHook": 70,
    "CheckpointHook": 90,
    "EMAHook": 50,
    "EarlyStoppingHook": 100,
    "EmptyCacheHook": 50,
    "SyncBuffersHook": 50,
    "ProfilerHook": 90,
    "PrepareTTAHook": 50,
}


@pytest.mark.parametrize("name", POINTS)
def test_each_hook_acts_at_its_points_alone(name: str) -> None:
    kind = HOOKS.get(name)
    assert kind is not None
    hook = kind.__new__(kind)
    assert {point for point in HOOK_POINTS if acts_at(hook, point)} == set(POINTS[name].split())


@pytest.mark.parametrize(("name", "priority"), MMENGINE_PRIORITIES.items())
def test_priorities_are_those_of_mmengine(name: str, priority: int) -> None:
    assert get_priority(HOOKS.get(name).priority) == priority  # type: ignore[union-attr]


def test_default_hooks_are_those_of_mmengine() -> None:
    assert list(DEFAULT_HOOKS) == ["runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"]


def test_a_custom_hook_comes_where_its_priority_says(make_runner: MakeRunner) -> None:
    runner = make_runner(
        default_hooks={"timer": {"priority": "LOW"}},
        custom_hooks=[
            {"type": "EmptyCacheHook"},
            {"type": "EMAHook", "priority": "ABOVE_NORMAL"},
            {"type": "SyncBuffersHook", "priority": 10},
        ],
    )
    assert [type(each).__name__ for each in runner.hooks] == [
        "RuntimeInfoHook", "SyncBuffersHook", "EMAHook", "DistSamplerSeedHook", "EmptyCacheHook", "LoggerHook",
        "IterTimerHook", "ParamSchedulerHook", "CheckpointHook",
    ]  # fmt: skip


def test_any_hook_may_stop_the_training_at_the_end_of_an_epoch(make_runner: MakeRunner) -> None:
    class Stop(Hook):
        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            runner.train_loop.stop_training = runner.iter == 3

    runner = make_runner(custom_hooks=[Stop()], train_cfg={"by_epoch": True, "max_epochs": 4, "val_begin": 9})
    runner.train()
    assert (runner.epoch, runner.iter) == (4, 12), "what stopped in the middle of an epoch was taken back by its end"

    class StopAtTheEnd(Hook):
        def after_train_epoch(self, runner: Runner) -> None:
            runner.train_loop.stop_training = runner.epoch == 1

    runner = make_runner(custom_hooks=[StopAtTheEnd()], train_cfg={"by_epoch": True, "max_epochs": 4, "val_begin": 9})
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 6)


class Listed(BaseDataset):
    """Ten samples whose pipeline says where it ran."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"value": float(number)} for number in range(12)]


def early(sample: dict[str, Any]) -> dict[str, Tensor]:
    return {"inputs": torch.tensor([sample["value"], 0.0]), "target": torch.tensor(1.0)}


def late(sample: dict[str, Any]) -> dict[str, Tensor]:
    return {"inputs": torch.tensor([sample["value"], 1.0]), "target": torch.tensor(1.0)}


class Inputs(Hook):
    """Keep what the second number of each input is, epoch by epoch."""

    def __init__(self) -> None:
        self.epochs: dict[int, set[float]] = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        found = {float(each[1]) for each in data_batch["inputs"]}
        self.epochs.setdefault(runner.epoch, set()).update(found)


@pytest.mark.parametrize(("workers", "wrap"), [(0, False), (2, False), (1, True)])
def test_a_switched_pipeline_reaches_workers_that_live_on(make_runner: MakeRunner, workers: int, wrap: bool) -> None:
    dataset: Dataset[Any] = Listed(pipeline=[early])
    if wrap:
        from mimctl.engine.data import ConcatDataset, RepeatDataset

        dataset = RepeatDataset(ConcatDataset([dataset]), times=1)
    loader = {
        "dataset": dataset,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "batch_size": 4,
        "num_workers": workers,
        "persistent_workers": workers > 0,
    }
    inputs = Inputs()
    switch = {"type": "PipelineSwitchHook", "switch_epoch": 2, "switch_pipeline": [late]}
    make_runner(
        train_dataloader=loader,
        custom_hooks=[switch, inputs],
        train_cfg={"by_epoch": True, "max_epochs": 4, "val_begin": 9},
    ).train()
    assert inputs.epochs == {0: {0.0}, 1: {0.0}, 2: {1.0}, 3: {1.0}}


def test_a_resumed_run_begins_with_the_switched_pipeline(make_runner: MakeRunner) -> None:
    loader = {"dataset": Listed(pipeline=[early]), "sampler": {"type": "DefaultSampler"}, "batch_size": 4}
    switch = {"type": "PipelineSwitchHook", "switch_epoch": 1, "switch_pipeline": [late]}
    cfg = {"by_epoch": True, "max_epochs": 2, "val_begin": 9}
    make_runner(train_dataloader=loader, custom_hooks=[switch], train_cfg=cfg).train()
    inputs = Inputs()
    loader["dataset"] = Listed(pipeline=[early])
    resumed = make_runner(
        train_dataloader=loader, custom_hooks=[switch, inputs], train_cfg={**cfg, "max_epochs": 3}, resume=True
    )
    resumed.train()
    assert inputs.epochs == {2: {1.0}}


def test_each_epoch_is_told_to_the_sampler_and_an_empty_cache_needs_no_gpu(make_runner: MakeRunner) -> None:
    told: list[int] = []

    class Note(Hook):
        priority = "LOWEST"

        def before_train_epoch(self, runner: Runner) -> None:
            told.append(runner.train_dataloader.sampler.epoch)

    every = {"type": "EmptyCacheHook", "before_epoch": True, "after_iter": True}
    make_runner(custom_hooks=[Note(), every, {"type": "SyncBuffersHook"}]).train()
    assert told == [0, 1, 2]


def statistics_of_a_rank(rank: int, folder: str, is_synced: bool, by_epoch: bool) -> list[list[float]]:
    """Train on this rank; return the running means after each epoch (or iteration) and in each validation."""
    from toy_experiment import ToyMetric, ToyModel, toy_loader

    seen: list[list[float]] = []

    class Note(Hook):
        priority = "LOWEST"

        def note(self, runner: Runner) -> None:
            seen.append(runner.bare_model.norm.running_mean.tolist())  # type: ignore[union-attr,operator]

        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            self.note(runner)

        def after_train_epoch(self, runner: Runner) -> None:
            self.note(runner)

        def before_val_epoch(self, runner: Runner) -> None:
            self.note(runner)

    torch.manual_seed(0)
    epochs: dict[str, Any] = {"by_epoch": True, "max_epochs": 1}
    Runner(
        model=ToyModel(),
        work_dir=folder,
        train_dataloader=toy_loader(16),
        val_dataloader=toy_loader(4, shuffle=False),
        val_evaluator=[ToyMetric()],
        train_cfg=epochs if by_epoch else {"by_epoch": False, "max_iters": 2, "val_interval": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05}},
        default_hooks={"checkpoint": None},
        custom_hooks=[*([{"type": "SyncBuffersHook"}] if is_synced else []), Note()],
        launcher="pytorch",
        randomness={"seed": 3},
    ).train()
    return seen


@pytest.mark.parametrize("by_epoch", [True, False])
def test_batch_statistics_are_averaged_over_ranks(tmp_path: Path, by_epoch: bool) -> None:
    first, second = on_ranks(statistics_of_a_rank, str(tmp_path), True, by_epoch)
    assert first[1] != second[1], "each rank has seen batches of its own"
    mean = [(one + other) / 2 for one, other in zip(first[1], second[1], strict=True)]
    assert first[2] == second[2] == pytest.approx(mean, rel=1e-6)
    first, second = on_ranks(statistics_of_a_rank, str(tmp_path), False, by_epoch)
    assert first[2] != second[2]
