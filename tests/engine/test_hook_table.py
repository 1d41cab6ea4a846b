"""The points of a run in MMEngine's order, and the table of hooks that is printed at its start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mimctl.engine.hooks import Hook, IterTimerHook, RuntimeInfoHook
from mimctl.engine.hooks.hook import HOOK_POINTS
from mimctl.engine.hooks.table import HookTable
from mimctl.engine.runner import Runner

MakeRunner = Callable[..., Runner]
Loader = Callable[..., dict[str, Any]]

# What MMEngine 0.10.7 calls in runs of these lengths: two batches of training, validation and test data, a checkpoint
# after each epoch or every two iterations.
VALIDATION = ["before_val", "before_val_epoch", *["before_val_iter", "after_val_iter"] * 2, "after_val_epoch",
              "after_val"]  # fmt: skip
EPOCH = ["before_train_epoch", *["before_train_iter", "after_train_iter"] * 2, "before_save_checkpoint",
         "after_train_epoch"]  # fmt: skip
TWO_EPOCHS = ["before_run", "before_train", *[*EPOCH, *VALIDATION] * 2, "after_train", "after_run"]
THREE_ITERATIONS = ["before_run", "before_train", "before_train_epoch", "before_train_iter", "after_train_iter",
                    "before_train_iter", "before_save_checkpoint", "after_train_iter", *VALIDATION,
                    "before_train_iter", "after_train_iter", *VALIDATION, "after_train_epoch", "after_train",
                    "after_run"]  # fmt: skip
TEST = ["before_run", *[each.replace("val", "test") for each in VALIDATION], "after_run"]

DEFAULT = """\
before_run              RuntimeInfoHook (VERY_HIGH)
before_train            RuntimeInfoHook (VERY_HIGH), IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL), \
CheckpointHook (VERY_LOW)
before_train_epoch      RuntimeInfoHook (VERY_HIGH), IterTimerHook (NORMAL), DistSamplerSeedHook (NORMAL), \
LoggerHook (BELOW_NORMAL)
before_train_iter       RuntimeInfoHook (VERY_HIGH), IterTimerHook (NORMAL)
after_train_iter        RuntimeInfoHook (VERY_HIGH), IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL), \
ParamSchedulerHook (LOW), CheckpointHook (VERY_LOW)
after_train_epoch       LoggerHook (BELOW_NORMAL), ParamSchedulerHook (LOW), CheckpointHook (VERY_LOW)
before_val_epoch        IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL)
before_val_iter         IterTimerHook (NORMAL)
after_val_iter          IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL)
after_val_epoch         RuntimeInfoHook (VERY_HIGH), LoggerHook (BELOW_NORMAL), ParamSchedulerHook (LOW), \
CheckpointHook (VERY_LOW)
after_train             CheckpointHook (VERY_LOW)
before_test_epoch       IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL)
before_test_iter        IterTimerHook (NORMAL)
after_test_iter         IterTimerHook (NORMAL), LoggerHook (BELOW_NORMAL)
after_test_epoch        RuntimeInfoHook (VERY_HIGH), LoggerHook (BELOW_NORMAL)"""


def recorder(calls: list[str]) -> Hook:
    """Return a hook that notes after all others where it is called."""

    def note(point: str) -> Callable[..., None]:
        return lambda self, runner, *args, **kwargs: calls.append(point)

    methods: dict[str, Any] = {point: note(point) for point in HOOK_POINTS}
    hook: Hook = type("Recorder", (Hook,), {**methods, "priority": "LOWEST"})()
    return hook


@pytest.mark.parametrize(
    ("verb", "train_cfg", "checkpoint", "expected"),
    [
        ("train", {"by_epoch": True, "max_epochs": 2}, {"interval": 1}, TWO_EPOCHS),
        (
            "train",
            {"by_epoch": False, "max_iters": 3, "val_interval": 2},
            {"interval": 2, "by_epoch": False, "save_last": False},
            THREE_ITERATIONS,
        ),
        ("test", {"by_epoch": True, "max_epochs": 2}, None, TEST),
    ],
    ids=["epochs", "iterations", "test"],
)
def test_points_follow_each_other_as_in_mmengine(
    make_runner: MakeRunner,
    loader: Loader,
    verb: str,
    train_cfg: Mapping[str, Any],
    checkpoint: Mapping[str, Any] | None,
    expected: list[str],
) -> None:
    calls: list[str] = []
    runner = make_runner(
        train_cfg=train_cfg,
        train_dataloader=loader(8),
        val_dataloader=loader(8, shuffle=False),
        test_dataloader=loader(8, shuffle=False),
        test_evaluator={"type": "ToyMetric"},
        default_hooks={"checkpoint": checkpoint},
        custom_hooks=[recorder(calls)],
    )
    getattr(runner, verb)()
    assert calls == expected
    assert set(calls) < set(HOOK_POINTS)


def test_default_hooks_stand_in_a_table_by_point(make_runner: MakeRunner) -> None:
    runner = make_runner(default_hooks=None)
    assert runner.get_hooks_info() == DEFAULT


def test_hooks_of_the_run_are_logged_at_its_start(make_runner: MakeRunner) -> None:
    runner = make_runner(custom_hooks=[{"type": "EMAHook", "priority": 49}])
    runner.train()
    lines = (runner.log_dir / f"{runner.timestamp}.log").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("before_run"))
    table = lines[start : start + len(runner.get_hooks_info().splitlines())]
    assert table == runner.get_hooks_info().splitlines()
    assert "EMAHook (49), IterTimerHook (NORMAL)" in "\n".join(table)
    assert start < next(number for number, line in enumerate(lines) if "Epoch(train)" in line)


def test_table_calls_only_hooks_that_act() -> None:
    table = HookTable([IterTimerHook(), RuntimeInfoHook()])
    assert table.at("after_run") == []
    assert [call.__self__ for call in table.at("before_train_iter")] == [table.hooks[0], table.hooks[1]]
    assert [type(each) for each in table.hooks] == [RuntimeInfoHook, IterTimerHook]
    late = recorder([])
    table.add(late)
    assert [call.__self__ for call in table.at("after_run")] == [late], "what was asked for before is not remembered"
