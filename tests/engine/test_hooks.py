"""The order of hook points, and what the shipped hooks do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.checkpoints.checkpoint import read_checkpoint
from mimctl.engine.hooks import EMAHook, Hook
from mimctl.engine.hooks.build import build_hooks
from mimctl.engine.hooks.hook import HOOK_POINTS, acts_at
from mimctl.engine.reporting.events import EventWriter
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError, MimctlError

MakeRunner = Callable[..., Runner]


def recording_hook(calls: list[str], only: tuple[str, ...] = HOOK_POINTS) -> Hook:
    """Return a hook that notes each point it is called at."""

    def note(point: str) -> Callable[..., None]:
        return lambda self, runner, *args, **kwargs: calls.append(point)

    return type("RecordingHook", (Hook,), {point: note(point) for point in only})()


def test_hook_points_come_in_order(make_runner: MakeRunner) -> None:
    calls: list[str] = []
    runner = make_runner(
        train_cfg={"by_epoch": True, "max_epochs": 1}, custom_hooks=[recording_hook(calls)], default_hooks={}
    )
    runner.train()
    steps = ["before_train_iter", "after_train_iter"] * 3
    validation = ["before_val", "before_val_epoch", "before_val_iter", "after_val_iter", "after_val_epoch", "after_val"]
    assert calls == [
        "before_run", "before_train", "before_train_epoch", *steps, "after_train_epoch", *validation,
        "after_train", "after_run",
    ]  # fmt: skip


def test_hook_points_of_an_iteration_loop(make_runner: MakeRunner) -> None:
    calls: list[str] = []
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 4, "val_interval": 2},
        custom_hooks=[recording_hook(calls, ("before_train_epoch", "after_train_iter", "before_val", "after_train"))],
        default_hooks={},
    )
    runner.train()
    step = "after_train_iter"
    assert calls == ["before_train_epoch", step, step, "before_val", step, step, "before_val", "after_train"]


def test_test_calls_its_own_points(make_runner: MakeRunner) -> None:
    calls: list[str] = []
    runner = make_runner(custom_hooks=[recording_hook(calls)], default_hooks={})
    runner.val()
    assert (calls[0], calls[-1]) == ("before_run", "after_run")
    assert {"before_val_iter", "after_val_epoch"} < set(calls)
    assert not any("train" in each for each in calls)


def test_hooks_run_by_priority_then_by_order(make_runner: MakeRunner) -> None:
    calls: list[str] = []
    runner = make_runner(default_hooks={})
    for name, priority in (("low", "LOW"), ("first", 0), ("normal", "NORMAL"), ("normal again", 50), ("last", 100)):
        note = {"before_run": lambda self, runner, name=name: calls.append(name)}
        runner.register_hook(type("Named", (Hook,), note)(), priority)
    runner.call_hook("before_run")
    assert calls == ["first", "normal", "normal again", "low", "last"]


def test_default_hooks_can_be_changed_and_left_out() -> None:
    names = [type(each).__name__ for each in build_hooks({"timer": None, "checkpoint": {"interval": 7}}, None)]
    assert "IterTimerHook" not in names
    assert names[-1] == "CheckpointHook"
    assert build_hooks({"checkpoint": {"interval": 7}}, None)[-1].interval == 7  # type: ignore[attr-defined]


def test_misspelled_default_hook_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        build_hooks({"chekpoint": {"interval": 1}}, None)
    assert "`checkpoint`" in caught.value.hints[0]


def test_shared_methods_serve_all_three_loops() -> None:
    hook = type("Each", (Hook,), {"_after_iter": lambda self, *args, **kwargs: None})()
    assert acts_at(hook, "after_train_iter")
    assert acts_at(hook, "after_test_iter")
    assert not acts_at(hook, "before_train_iter")
    assert not acts_at(hook, "after_train")


def test_validation_follows_begin_interval_and_dynamic_intervals(make_runner: MakeRunner) -> None:
    epochs: list[int] = []
    hook = type("Note", (Hook,), {"before_val": lambda self, runner: epochs.append(runner.epoch)})()
    runner = make_runner(
        train_cfg={
            "by_epoch": True,
            "max_epochs": 11,
            "val_begin": 3,
            "val_interval": 4,
            "dynamic_intervals": [(9, 1)],
        },
        custom_hooks=[hook],
        default_hooks={},
    )
    runner.train()
    assert epochs == [4, 8, 9, 10, 11]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


def test_checkpoints_are_kept_up_to_a_number(make_runner: MakeRunner) -> None:
    runner = make_runner(
        train_cfg={"by_epoch": True, "max_epochs": 5},
        default_hooks={"checkpoint": {"interval": 1, "max_keep_ckpts": 2}},
    )
    runner.train()
    assert names(runner.work_dir) == {"epoch_4.pth", "epoch_5.pth"}
    assert Path((runner.work_dir / "last_checkpoint").read_text()) == runner.work_dir / "epoch_5.pth"


def test_last_checkpoint_is_saved_whatever_the_interval(make_runner: MakeRunner) -> None:
    runner = make_runner(default_hooks={"checkpoint": {"interval": 2}})
    runner.train()
    assert names(runner.work_dir) == {"epoch_2.pth", "epoch_3.pth"}


class Scripted(Hook):
    """Replace the metrics of each validation by those of a script."""

    priority = "HIGHEST"

    def __init__(self, name: str, script: list[float]) -> None:
        self.name, self.script = name, list(script)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        assert metrics is not None
        metrics.clear()
        metrics[self.name] = self.script.pop(0)


@pytest.mark.parametrize(
    ("name", "rule", "script", "best"),
    [
        ("coco/bbox_mAP", None, [0.1, 0.3, 0.2], "best_coco_bbox_mAP_epoch_2.pth"),
        ("val/loss", None, [3.0, 2.0, 1.0], "best_val_loss_epoch_3.pth"),
        ("whatever", "less", [1.0, 2.0, 3.0], "best_whatever_epoch_1.pth"),
    ],
)
def test_best_checkpoint_is_kept(
    make_runner: MakeRunner, name: str, rule: str | None, script: list[float], best: str
) -> None:
    runner = make_runner(
        custom_hooks=[Scripted(name, script)],
        default_hooks={"checkpoint": {"interval": -1, "save_last": False, "save_best": "auto", "rule": rule}},
    )
    runner.train()
    assert names(runner.work_dir) == {best}


def test_unknown_metric_name_needs_a_rule(make_runner: MakeRunner) -> None:
    with pytest.raises(ConfigError, match="whatever"):
        make_runner(default_hooks={"checkpoint": {"save_best": "whatever"}})
    auto = {"checkpoint": {"save_best": "auto"}}
    with pytest.raises(ConfigError, match="whatever"):
        make_runner(custom_hooks=[Scripted("whatever", [1.0])], default_hooks=auto).train()


def test_published_checkpoint_holds_the_chosen_keys_and_its_hash(make_runner: MakeRunner) -> None:
    import hashlib

    runner = make_runner(default_hooks={"checkpoint": {"interval": 3, "published_keys": ["meta", "state_dict"]}})
    runner.train()
    [path] = list(runner.work_dir.glob("epoch_3-*.pth"))
    assert path.stem.partition("-")[2] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert set(torch.load(path, weights_only=True)) == {"meta", "state_dict"}


def test_ema_follows_its_formula_and_validates_with_the_average(make_runner: MakeRunner) -> None:
    seen: dict[str, list[torch.Tensor]] = {"trained": [], "validated": []}

    class Watch(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            seen["trained"].append(runner.bare_model.last.weight.detach().clone())  # type: ignore[union-attr]

        def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
            seen["validated"].append(runner.bare_model.last.weight.detach().clone())  # type: ignore[union-attr]

    ema = EMAHook("ExponentialMovingAverage", momentum=0.25)
    runner = make_runner(custom_hooks=[ema, Watch()], train_cfg={"by_epoch": True, "max_epochs": 1})
    runner.train()
    average = seen["trained"][0]
    for weight in seen["trained"][1:]:
        average = 0.75 * average + 0.25 * weight
    assert torch.allclose(seen["validated"][0], average)
    assert torch.equal(runner.bare_model.last.weight, seen["trained"][-1]), "the trained weights come back"  # type: ignore[union-attr]
    saved = read_checkpoint(runner.work_dir / "epoch_1.pth")
    assert torch.allclose(saved["state_dict"]["last.weight"], average)
    assert torch.equal(saved["ema_state_dict"]["module.last.weight"], seen["trained"][-1])


def test_early_stopping_ends_the_run(make_runner: MakeRunner) -> None:
    runner = make_runner(
        train_cfg={"by_epoch": True, "max_epochs": 9},
        custom_hooks=[
            Scripted("acc", [0.5, 0.5, 0.51, 0.5]),
            {"type": "EarlyStoppingHook", "monitor": "acc", "patience": 2, "min_delta": 0.1},
        ],
    )
    runner.train()
    assert runner.epoch == 3


def test_pipeline_is_switched_at_its_epoch(make_runner: MakeRunner) -> None:
    lengths: list[int] = []

    class Note(Hook):
        priority = "LOWEST"

        def before_train_epoch(self, runner: Runner) -> None:
            pipeline = getattr(runner.train_loop.dataloader.dataset, "pipeline", None)
            lengths.append(-1 if pipeline is None else len(pipeline.transforms))

    switch = {"type": "PipelineSwitchHook", "switch_epoch": 1, "switch_pipeline": []}
    make_runner(custom_hooks=[switch, Note()], train_cfg={"by_epoch": True, "max_epochs": 3}).train()
    assert lengths == [-1, 0, 0]


def test_nan_loss_ends_the_run_naming_term_and_iteration(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner = make_runner(default_hooks={"logger": {"type": "LoggerHook", "interval": 10}})
    forward = runner.bare_model.forward

    def poisoned(*args: Any, mode: str = "tensor", **kwargs: Any) -> Any:
        result = forward(*args, mode=mode, **kwargs)
        if mode == "loss" and runner.iter == 4:
            result["loss_box"] = result["loss_line"] * float("nan")
        elif mode == "loss":
            result["loss_box"] = result["loss_line"] * 0
        return result

    runner.bare_model.forward = poisoned  # type: ignore[method-assign]
    with pytest.raises(MimctlError) as caught:
        runner.train()
    assert caught.value.code == "loss-not-finite"
    assert caught.value.details == {"term": "loss_box", "iteration": 5}
    assert names(runner.work_dir) == {"epoch_1.pth"}, "no checkpoint is saved after the loss went bad"


def test_progress_is_told_between_log_points(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mimctl.engine.hooks.logger.PROGRESS_EVERY_S", 0.0)
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 3, "val_interval": 9},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 2}},
    )
    runner.events = EventWriter(tmp_path / "events.jsonl")
    runner.train()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    steps = [(event["step"], event["steps"], "loss" in event["scalars"]) for event in events
             if event["event"] == "step" and event["phase"] == "train"]  # fmt: skip
    assert steps == [(1, 3, False), (2, 3, True), (3, 3, True)]
