"""The Runner as a whole: built from a config, lazily, and usable part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mimctl.config import Config
from mimctl.engine.ranks.parallel import revert_sync_batchnorm
from mimctl.engine.reporting.log_processor import LogProcessor
from mimctl.engine.reporting.messages import MessageHub
from mimctl.engine.runner import Runner
from mimctl.engine.running.loops import IterBasedTrainLoop
from mimctl.errors import ConfigError

MakeRunner = Callable[..., Runner]
Loader = Callable[..., dict[str, Any]]


def test_parts_are_built_at_their_first_use(make_runner: MakeRunner) -> None:
    runner = make_runner()
    assert not {"model", "optim_wrapper", "train_loop", "visualizer"} & set(runner.__dict__)
    assert runner.optim_wrapper.get_lr() == {"lr": [0.05]}
    assert not runner.work_dir.exists(), "nothing is written before something runs"


def test_same_seed_gives_the_same_run(make_runner: MakeRunner, tmp_path: Path) -> None:
    weights = []
    for name in ("a", "b"):
        runner = make_runner(work_dir=tmp_path / name)
        runner.train()
        weights.append(torch.cat([each.flatten() for each in runner.bare_model.parameters()]))
    assert torch.equal(weights[0], weights[1])


def test_two_runners_live_in_one_process(make_runner: MakeRunner, tmp_path: Path) -> None:
    first, second = make_runner(work_dir=tmp_path / "a"), make_runner(work_dir=tmp_path / "b")
    first.train()
    second.train()
    assert first.message_hub is not second.message_hub
    assert first.iter == second.iter == 9


def test_scalars_are_written_as_json_lines(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.train()
    lines = (runner.log_dir / "vis_data" / "scalars.json").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    first, last = records[0], records[-1]
    assert {"lr", "loss", "loss_line", "time", "data_time", "samples_per_s", "epoch", "iter",
            "step"} == set(first)  # fmt: skip
    assert (first["epoch"], first["iter"], first["step"]) == (1, 2, 2)
    assert set(last) == {"toy/accuracy", "toy/count", "time", "data_time", "step"}
    log = (runner.log_dir / f"{runner.timestamp}.log").read_text()
    assert "Epoch(train) [1][2/3]" in log
    assert "Epoch(val) [3][1/1]" in log


def test_config_is_followed_and_saved(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner = make_runner()
    cfg = Config({**runner.cfg, "work_dir": str(tmp_path / "run"), "something": {"else": 1}})
    for key in ("model", "train_dataloader", "val_dataloader", "val_evaluator"):
        cfg.pop(key)
    made = Runner.from_cfg(Config({**cfg.to_dict(), "model": {"type": "ToyModel"}}))
    assert made.work_dir == (tmp_path / "run").resolve()
    assert made.cfg["something"] == {"else": 1}


@pytest.mark.parametrize("key", ["train_cfg", "train_dataloader", "optim_wrapper"])
def test_missing_part_is_named(make_runner: MakeRunner, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        make_runner(**{key: None}).train()


def test_misspelled_environment_key_is_refused(make_runner: MakeRunner) -> None:
    with pytest.raises(ConfigError, match="cudnn_benchmrk") as caught:
        make_runner(env_cfg={"cudnn_benchmrk": True})
    assert "`cudnn_benchmark`" in caught.value.hints[0]


def test_loop_kind_follows_the_config(make_runner: MakeRunner) -> None:
    assert isinstance(make_runner(train_cfg={"max_iters": 3}).train_loop, IterBasedTrainLoop)
    assert isinstance(make_runner(train_cfg={"type": "IterBasedTrainLoop", "max_iters": 3}).train_loop,
                      IterBasedTrainLoop)  # fmt: skip
    with pytest.raises(ConfigError, match="max_epochs"):
        _ = make_runner(train_cfg={"by_epoch": True, "max_epochs": 2.5}).train_loop


def test_test_uses_the_loaded_weights(make_runner: MakeRunner, tmp_path: Path) -> None:
    trained = make_runner(custom_hooks=[{"type": "EMAHook", "momentum": 0.5}])
    trained.train()
    evaluation = {
        "test_dataloader": trained._parts["val_dataloader"],
        "test_evaluator": trained._parts["val_evaluator"],
    }
    fresh = make_runner(work_dir=tmp_path / "test", load_from=str(trained.work_dir / "epoch_3.pth"), **evaluation)
    again = make_runner(work_dir=tmp_path / "again", load_from=str(trained.work_dir / "epoch_3.pth"), **evaluation)
    metrics = fresh.test()
    assert metrics == again.test()
    assert metrics["toy/count"] == 4
    saved = torch.load(trained.work_dir / "epoch_3.pth", weights_only=True)["state_dict"]
    assert torch.equal(fresh.bare_model.state_dict()["last.weight"], saved["last.weight"])


def test_checkpoint_says_where_it_comes_from(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.train()
    meta = torch.load(runner.work_dir / "epoch_3.pth", weights_only=True)["meta"]
    assert (meta["epoch"], meta["iter"], meta["seed"]) == (3, 9, 3)
    assert meta["dataset_meta"] == {"classes": ["a", "b"]}
    assert meta["mimctl_version"]


def test_learning_rate_is_scaled_by_the_real_batch(make_runner: MakeRunner) -> None:
    runner = make_runner(
        auto_scale_lr={"enable": True, "base_batch_size": 16},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": 2},
    )
    assert runner.optim_wrapper.get_lr()["lr"] == [pytest.approx(0.05)]


def test_syncbn_becomes_bn_in_a_single_process(make_runner: MakeRunner) -> None:
    model = nn.Sequential(nn.SyncBatchNorm(3), nn.Sequential(nn.SyncBatchNorm(2)))
    model[0].running_mean.fill_(5.0)
    state = model.state_dict()
    plain = revert_sync_batchnorm(model)
    assert not any(isinstance(each, nn.SyncBatchNorm) for each in plain.modules())
    assert plain.state_dict().keys() == state.keys()
    assert plain[0].running_mean.tolist() == [5.0] * 3
    assert plain[0].eval()(torch.zeros(2, 3, 4, 4)).shape == (2, 3, 4, 4)


def test_history_costs_the_same_however_long_the_run() -> None:
    hub = MessageHub(window=10)
    for step in range(1000):
        hub.update_scalar("train/loss", torch.tensor(float(step)))
    history = hub.get_scalar("train/loss")
    assert (len(history.values), history.count) == (10, 1000)
    assert history.mean(4) == pytest.approx(997.5)
    assert (history.current(), history.min(), history.max()) == (999.0, 990.0, 999.0)
    assert hub.state_dict() == {}


def test_all_kept_values_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = MessageHub(window=3)
    for step in range(5):
        hub.update_scalars({"train/loss": torch.tensor([step / 2]), "train/time": 0.5, "train/acc": torch.tensor(step)})
    hub.update_scalar("train/large", torch.tensor(2**24 + 1))
    reads: list[torch.Size] = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: reads.append(tensor.shape) or tolist(tensor))
    hub.read()
    assert reads == [(3,), (4,)], "one transfer for each type of number"
    assert hub.get_scalar("train/loss").numbers() == [1.0, 1.5, 2.0]
    assert hub.get_scalar("train/acc").mean(2) == 3.5
    assert hub.get_scalar("train/large").current() == 2**24 + 1
    hub.read()
    assert len(reads) == 2
    hub.update_scalar("train/loss", torch.tensor(7.0))
    assert hub.get_scalar("train/loss").numbers() == [1.5, 2.0, 7.0]


def test_log_line_follows_its_config(make_runner: MakeRunner) -> None:
    custom = [{"data_src": "loss", "method_name": "max", "log_name": "worst", "window_size": "epoch"}]
    runner = make_runner(log_processor={"type": "LogProcessor", "custom_cfg": custom, "num_digits": 2})
    runner.train()
    assert isinstance(runner.log_processor, LogProcessor)
    assert "worst: " in (runner.log_dir / f"{runner.timestamp}.log").read_text()


def test_log_values_are_read_only_at_log_points(
    make_runner: MakeRunner, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 8, "val_interval": 100},
        train_dataloader=loader(40),  # one pass: starting another reads the sampler's order
        val_dataloader=None,
        default_hooks={"logger": {"type": "LoggerHook", "interval": 4}, "checkpoint": None},
    )
    step, item = torch.Tensor.tolist, torch.Tensor.item

    def counted(original: Any) -> Any:
        def read(tensor: torch.Tensor) -> Any:
            reads.append(runner.iter)
            return original(tensor)

        return read

    runner.train_loop, runner.optim_wrapper  # noqa: B018 — built before reads are counted
    monkeypatch.setattr(torch.Tensor, "tolist", counted(step))
    monkeypatch.setattr(torch.Tensor, "item", counted(item))
    runner.train()
    assert set(reads) - {0} <= {3, 7, 8}
