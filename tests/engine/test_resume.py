"""An interrupted and resumed run is the uninterrupted one, bit for bit on the CPU."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mimctl.engine.data import BaseTransform, Compose
from mimctl.engine.data.randomness import seeded
from mimctl.engine.hooks import Hook
from mimctl.engine.runner import Runner

MakeRunner = Callable[..., Runner]


class SimulatedKill(BaseException):
    """Stands for what ends a run without a word; after an error the run would save where it was."""


class Recorder(Hook):
    """Record every loss and metric, and end the run before its `stop`-th iteration."""

    priority = "LOWEST"

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.losses: dict[int, float] = {}
        self.metrics: dict[int, dict[str, float]] = {}
        self.counted: dict[int, tuple[int, int]] = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.stop:
            raise SimulatedKill

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses[runner.iter] = outputs["loss"].item()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.metrics[runner.iter] = dict(metrics or {})
        self.counted[runner.iter] = (runner.message_hub.get_info("epoch"), runner.message_hub.get_info("iter"))


def run(make_runner: MakeRunner, work_dir: Path, *, stop: int | None = None, **options: Any) -> tuple[Runner, Recorder]:
    recorder = Recorder(stop)
    ema = {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.1, "update_buffers": True, "priority": 49}
    runner = make_runner(work_dir=work_dir, custom_hooks=[ema, recorder], **options)
    if stop is None:
        runner.train()
    else:
        with pytest.raises(SimulatedKill):
            runner.train()
    return runner, recorder


def assert_same_run(whole: tuple[Runner, Recorder], first: Recorder, second: tuple[Runner, Recorder]) -> None:
    assert {**first.losses, **second[1].losses} == whole[1].losses
    assert {**first.metrics, **second[1].metrics} == whole[1].metrics
    for key, value in whole[0].bare_model.state_dict().items():
        assert torch.equal(value, second[0].bare_model.state_dict()[key]), key
    expected, found = whole[0].optim_wrapper.state_dict(), second[0].optim_wrapper.state_dict()
    assert_equal(expected, found)
    averaged = [next(hook for hook in each.hooks if hasattr(hook, "ema_model")) for each in (whole[0], second[0])]
    assert_equal(averaged[0].ema_model.state_dict(), averaged[1].ema_model.state_dict())


def assert_equal(expected: Any, found: Any) -> None:
    if isinstance(expected, Tensor):
        assert torch.equal(expected, found)
    elif isinstance(expected, dict):
        assert expected.keys() == found.keys()
        for key in expected:
            assert_equal(expected[key], found[key])
    elif isinstance(expected, (list, tuple)):
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            assert_equal(one, other)
    else:
        assert expected == found


def saving_at(iteration: int) -> dict[str, Any]:
    """Return default hooks that save one checkpoint, after `iteration` iterations."""
    return {
        "checkpoint": {"type": "CheckpointHook", "interval": iteration, "by_epoch": False, "save_last": False},
        "logger": {"type": "LoggerHook", "interval": 2},
    }


BY_ITERATION = {"train_cfg": {"by_epoch": False, "max_iters": 11, "val_interval": 4}}
ACCUMULATING = {
    "optim_wrapper": {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": 0.05},
        "accumulative_counts": 2,
        "clip_grad": {"max_norm": 1.0},
    }
}
ON_PLATEAU = {"param_scheduler": [{"type": "ReduceOnPlateauLR", "monitor": "toy/accuracy", "patience": 0}]}


@pytest.mark.parametrize("stop", [1, 3, 4, 6, 8], ids=lambda stop: f"after-{stop}")
@pytest.mark.parametrize("loop", [{}, BY_ITERATION], ids=["by-epoch", "by-iteration"])
def test_resumed_run_equals_uninterrupted_run(
    make_runner: MakeRunner, tmp_path: Path, loop: dict[str, Any], stop: int
) -> None:
    options = {"default_hooks": saving_at(stop), **loop}
    whole = run(make_runner, tmp_path / "whole", **options)
    _, first = run(make_runner, tmp_path / "parts", stop=stop, **options)
    second = run(make_runner, tmp_path / "parts", resume=True, randomness={"seed": 99}, **options)
    assert min(second[1].losses) == stop
    assert_same_run(whole, first, second)


@pytest.mark.parametrize("change", [ACCUMULATING, ON_PLATEAU], ids=["accumulation", "plateau"])
@pytest.mark.parametrize("stop", [5, 6])
def test_resume_keeps_optimizer_and_scheduler_state(
    make_runner: MakeRunner, tmp_path: Path, change: dict[str, Any], stop: int
) -> None:
    options = {"default_hooks": saving_at(stop), **change}
    whole = run(make_runner, tmp_path / "whole", **options)
    _, first = run(make_runner, tmp_path / "parts", stop=stop, **options)
    second = run(make_runner, tmp_path / "parts", resume=True, **options)
    assert_same_run(whole, first, second)


def test_epoch_checkpoints_resume_the_same_run(make_runner: MakeRunner, tmp_path: Path) -> None:
    whole = run(make_runner, tmp_path / "whole")
    run(make_runner, tmp_path / "parts", stop=4)
    second = run(make_runner, tmp_path / "parts", resume=True)
    assert sorted(second[1].losses) == list(range(3, 9))
    assert {key: whole[1].losses[key] for key in second[1].losses} == second[1].losses
    assert whole[1].metrics == second[1].metrics, "the validation that was due after the checkpoint is made up for"
    assert whole[1].counted == second[1].counted


class SeededData(torch.utils.data.Dataset[Any]):
    """Samples whose noise comes from the seed that the sampler hands out."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        with seeded(index):
            value = torch.rand(2)
        return {"inputs": value, "target": value.sum()}


def test_resume_is_exact_with_data_workers(make_runner: MakeRunner, tmp_path: Path) -> None:
    data = {
        "dataset": SeededData(),
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "batch_size": 4,
        "num_workers": 2,
        "persistent_workers": True,
    }
    options = {"default_hooks": saving_at(4), "train_dataloader": data}
    whole = run(make_runner, tmp_path / "whole", **options)
    _, first = run(make_runner, tmp_path / "parts", stop=4, **options)
    second = run(make_runner, tmp_path / "parts", resume=True, **options)
    assert_same_run(whole, first, second)


class Remembering(BaseTransform):
    """Mix each sample with the one before it, as cached mosaic does."""

    remembers_samples = True

    def __init__(self) -> None:
        self.before = torch.zeros(2)

    def transform(self, results: dict[str, Tensor]) -> dict[str, Tensor]:
        mixed = results["inputs"] + self.before
        self.before = results["inputs"]
        return {"inputs": mixed, "target": mixed.sum()}


class RememberingData(SeededData):
    """Samples that depend on those before them."""

    def __init__(self) -> None:
        self.pipeline = Compose([Remembering()])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample: dict[str, Tensor] = self.pipeline(super().__getitem__(index))
        return sample


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resume_is_exact_where_transforms_remember_samples(
    make_runner: MakeRunner, tmp_path: Path, num_workers: int
) -> None:
    def options() -> dict[str, Any]:
        sampler = {"type": "DefaultSampler", "shuffle": True}
        data = {"dataset": RememberingData(), "sampler": sampler, "batch_size": 4, "num_workers": num_workers}
        cfg = {"by_epoch": True, "max_epochs": 1, "val_begin": 9}
        return {"default_hooks": saving_at(2), "train_dataloader": data, "train_cfg": cfg}

    whole = run(make_runner, tmp_path / "whole", **options())
    _, first = run(make_runner, tmp_path / "parts", stop=2, **options())
    second = run(make_runner, tmp_path / "parts", resume=True, **options())
    assert_same_run(whole, first, second)


def test_resume_is_exact_with_a_plain_dataloader(make_runner: MakeRunner, tmp_path: Path) -> None:
    def options() -> dict[str, Any]:
        plain = DataLoader(SeededData(), batch_size=4, shuffle=True, collate_fn=lambda batch: _joined(batch))
        return {"default_hooks": saving_at(4), "train_dataloader": plain}

    whole = run(make_runner, tmp_path / "whole", **options())
    _, first = run(make_runner, tmp_path / "parts", stop=4, **options())
    second = run(make_runner, tmp_path / "parts", resume=True, **options())
    assert_same_run(whole, first, second)


def _joined(batch: list[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
    return {key: [each[key] for each in batch] for key in batch[0]}


def test_resume_takes_the_newest_whole_checkpoint_and_says_which_it_passed_over(
    make_runner: MakeRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(make_runner, tmp_path, stop=7)
    (tmp_path / "epoch_2.pth").write_bytes((tmp_path / "epoch_2.pth").read_bytes()[:1000])
    _, second = run(make_runner, tmp_path, resume=True)
    assert min(second.losses) == 3
    assert any(str(tmp_path / "epoch_2.pth") in message and "damaged" in message for message in caplog.messages)
    assert any(message.startswith(f"resumed from {tmp_path / 'epoch_1.pth'}") for message in caplog.messages)


def test_a_work_dir_that_was_copied_goes_on_from_its_own_files(make_runner: MakeRunner, tmp_path: Path) -> None:
    run(make_runner, tmp_path / "first", stop=4)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    run(make_runner, tmp_path / "first", resume=True)
    _, copied = run(make_runner, tmp_path / "copy", resume=True)
    assert min(copied.losses) == 3, "not from where the first one got to"
    shutil.move(tmp_path / "first", tmp_path / "moved")
    runner, again = run(make_runner, tmp_path / "moved", resume=True)
    assert (runner.epoch, again.losses) == (3, {})


def test_resume_after_the_end_validates_and_trains_no_more(make_runner: MakeRunner, tmp_path: Path) -> None:
    whole = run(make_runner, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pth")}
    again = run(make_runner, tmp_path, resume=True)
    assert again[1].losses == {}
    assert again[1].metrics == {9: whole[1].metrics[9]}
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pth")} == before
    for key, value in whole[0].bare_model.state_dict().items():
        assert torch.equal(value, again[0].bare_model.state_dict()[key]), key


def test_more_epochs_go_on_from_the_end_as_the_run_that_had_them_from_the_start(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    def epochs(number: int) -> dict[str, Any]:
        return {"train_cfg": {"by_epoch": True, "max_epochs": number}}

    whole = run(make_runner, tmp_path / "five", **epochs(5))
    _, first = run(make_runner, tmp_path / "three")
    second = run(make_runner, tmp_path / "three", resume=True, **epochs(5))
    assert min(second[1].losses) == 9
    assert_same_run(whole, first, second)


def test_a_schedule_that_was_made_for_fewer_epochs_says_so(
    make_runner: MakeRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def options(epochs: int) -> dict[str, Any]:
        schedule = [{"type": "CosineAnnealingLR", "T_max": epochs, "end": epochs}]
        return {"train_cfg": {"by_epoch": True, "max_epochs": epochs}, "param_scheduler": schedule}

    run(make_runner, tmp_path, **options(2))
    runner, _ = run(make_runner, tmp_path, resume=True, **options(4))
    told = "`CosineAnnealingLR` goes on as it was saved, up to step 2, not to 4 as the config says now"
    assert told in caplog.messages
    assert runner.optim_wrapper.get_lr()["lr"] == [0.025]


def test_another_batch_size_goes_on_behind_the_samples_that_were_seen(
    make_runner: MakeRunner, loader: Callable[..., dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    class Watched(SeededData):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            seen.append(int(index))
            return super().__getitem__(index)

    def options(size: int) -> dict[str, Any]:
        data = {"dataset": Watched(), "sampler": {"type": "DefaultSampler", "shuffle": True}, "batch_size": size}
        return {"default_hooks": saving_at(2), "train_dataloader": data}

    run(make_runner, tmp_path, stop=2, **options(3))
    before = seen[:6]
    seen.clear()
    run(make_runner, tmp_path, resume=True, **options(4))
    # Six samples are one step of four, and two that are seen again.
    assert set(seen[:8]) == set(range(12)) - set(before[:4])
    told = "a step takes 4 samples, before it took 3: the epoch goes on behind 4 of its samples, 2 are seen twice"
    assert told in caplog.messages


def test_a_kill_before_an_old_checkpoint_is_deleted_leaves_none_behind(
    make_runner: MakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = {"checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 1}}
    delete = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "epoch_1.pth":
            raise SimulatedKill
        delete(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(SimulatedKill):
        make_runner(work_dir=tmp_path, default_hooks=hooks).train()
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == ["epoch_1.pth", "epoch_2.pth"]
    monkeypatch.undo()
    make_runner(work_dir=tmp_path, default_hooks=hooks, resume=True).train()
    assert [path.name for path in tmp_path.glob("*.pth")] == ["epoch_3.pth"]


def test_a_kill_before_the_last_checkpoint_is_pointed_to_does_it_once_more(
    make_runner: MakeRunner, tmp_path: Path
) -> None:
    whole = run(make_runner, tmp_path / "whole")
    _, first = run(make_runner, tmp_path / "parts", stop=7)
    (tmp_path / "parts/last_checkpoint").write_text(str(tmp_path / "parts/epoch_1.pth"))
    second = run(make_runner, tmp_path / "parts", resume=True)
    assert min(second[1].losses) == 3
    assert_same_run(whole, first, second)


def test_resume_without_a_checkpoint_starts_anew(make_runner: MakeRunner, tmp_path: Path) -> None:
    _, recorder = run(make_runner, tmp_path, resume=True)
    assert len(recorder.losses) == 9


def test_validation_does_not_change_what_training_draws(make_runner: MakeRunner, tmp_path: Path) -> None:
    _, every = run(make_runner, tmp_path / "every")
    _, never = run(make_runner, tmp_path / "never", train_cfg={"by_epoch": True, "max_epochs": 3, "val_begin": 9})
    assert every.losses == never.losses
