"""A Runner made of parts that are built already, loops of one's own, several Runners in one process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from toy_experiment import ToyData, ToyMetric, ToyModel

from mimctl.config import Config
from mimctl.engine.evaluation import Evaluator
from mimctl.engine.hooks import Hook
from mimctl.engine.optim import OptimWrapper
from mimctl.engine.registry import LOOPS
from mimctl.engine.reporting.log_processor import LogProcessor
from mimctl.engine.reporting.messages import MessageHub
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.engine.runner import Runner
from mimctl.engine.running.loops import BaseLoop, EpochBasedTrainLoop
from mimctl.engine.schedule.build import RunLengths, build_param_schedulers
from mimctl.errors import ConfigError

MakeRunner = Callable[..., Runner]
Loader = Callable[..., dict[str, Any]]


@LOOPS.register_module()
class Alternating(BaseLoop):
    """A loop of a user: two steps on each batch. Registered, so that a config can name it."""

    def __init__(self, runner: Runner, dataloader: Any, max_epochs: int, repeats: int = 2) -> None:
        super().__init__(runner, dataloader)
        self.repeats = repeats
        self._epoch = self._iter = 0
        self.max_epochs = max_epochs
        self.max_iters = max_epochs * repeats * len(self.dataloader)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def iter(self) -> int:
        return self._iter

    def run(self) -> Any:
        runner: Any = self.runner
        runner.call_hook("before_train")
        while self._epoch < self.max_epochs:
            runner.call_hook("before_train_epoch")
            runner.model.train()
            for idx, batch in enumerate(each for each in self.dataloader for _ in range(self.repeats)):
                runner.call_hook("before_train_iter", batch_idx=idx, data_batch=batch)
                outputs = runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
                runner.call_hook("after_train_iter", batch_idx=idx, data_batch=batch, outputs=outputs)
                self._iter += 1
            runner.call_hook("after_train_epoch")
            self._epoch += 1
            runner.val_loop.run()
        runner.call_hook("after_train")
        return runner.model


class Steps(Hook):
    """Do something after each iteration."""

    def __init__(self, act: Callable[[Any], None]) -> None:
        self.act = act

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.act(runner)


def collate(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return a batch as lists."""
    return {key: [each[key] for each in samples] for key in samples[0]}


def test_parts_that_are_built_are_used_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ToyModel()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    loader = DataLoader(ToyData(8), batch_size=4, collate_fn=collate)
    lengths = RunLengths(epoch_length=2, max_epochs=1, max_iters=2)
    schedulers = build_param_schedulers(
        {"type": "ConstantLR", "factor": 0.5, "by_epoch": False, "begin": 0, "end": 9}, wrapper, lengths=lengths
    )
    evaluator, visualizer, processor = Evaluator(ToyMetric()), Visualizer(), LogProcessor(window_size=3)
    hook = Steps(lambda runner: None)
    runner = Runner(
        model=model,
        work_dir=tmp_path,
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg={"max_epochs": 1},
        optim_wrapper=wrapper,
        param_scheduler=schedulers,
        val_evaluator=evaluator,
        visualizer=visualizer,
        log_processor=processor,
        custom_hooks=[hook],
    )
    assert runner.train() is model
    assert runner.optim_wrapper is wrapper
    assert runner.train_dataloader is runner.val_dataloader is loader
    assert runner.param_schedulers == schedulers
    assert wrapper.get_lr() == {"lr": [0.05]}
    assert (runner.val_evaluator, runner.visualizer, runner.log_processor) == (evaluator, visualizer, processor)
    assert hook in runner.hooks
    assert runner.iter == 2


def test_loop_of_a_user_has_hooks_checkpoints_and_validations(make_runner: MakeRunner) -> None:
    runner = make_runner(train_cfg={"type": "Alternating", "max_epochs": 2, "repeats": 3})
    runner.train()
    assert (runner.epoch, runner.iter, runner.max_iters) == (2, 18, 18)
    assert (runner.work_dir / "epoch_2.pth").exists()
    assert runner.message_hub.get_scalar("train/loss").count == 18
    assert runner.message_hub.get_scalar("val/toy/count").count == 2
    resumed = make_runner(train_cfg={"type": "Alternating", "max_epochs": 3, "repeats": 3}, resume=True)
    resumed.train()
    assert (resumed.epoch, resumed.iter) == (3, 27)


def test_run_inside_a_run_leaves_the_outer_one_its_hub_log_and_level(make_runner: MakeRunner, tmp_path: Path) -> None:
    seen: list[MessageHub] = []
    inner: list[Runner] = []

    def distil(runner: Runner) -> None:
        if runner.iter == 2:
            inner.append(make_runner(work_dir=tmp_path / "inner", log_level="ERROR"))
            inner[0].train()
        seen.append(MessageHub.get_current_instance())

    outer = make_runner(work_dir=tmp_path / "outer", custom_hooks=[Steps(distil)])
    outer.train()
    assert all(each is outer.message_hub for each in seen)
    assert outer.message_hub.get_scalar("train/loss").count == inner[0].message_hub.get_scalar("train/loss").count == 9
    log = (outer.log_dir / f"{outer.timestamp}.log").read_text()
    assert log.count("Epoch(train)") == 3
    assert log.count("Epoch(val)") == 3
    assert not list(inner[0].log_dir.glob("*.log"))


def test_runs_in_threads_keep_apart(make_runner: MakeRunner, tmp_path: Path) -> None:
    both_run = threading.Barrier(2, timeout=240)
    runners = [
        make_runner(
            work_dir=tmp_path / name,
            train_cfg={"max_epochs": epochs},
            custom_hooks=[Steps(lambda runner: both_run.wait() if runner.iter < 6 else None)],
        )
        for name, epochs in (("two", 2), ("four", 4))
    ]
    current: dict[str, bool] = {}

    def train(runner: Runner) -> None:
        runner.train()
        current[runner.work_dir.name] = MessageHub.get_current_instance() is runner.message_hub

    threads = [threading.Thread(target=train, args=(each,)) for each in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=240)
    assert current == {"two": True, "four": True}
    for runner, epochs in zip(runners, (2, 4), strict=True):
        assert runner.epoch == epochs
        assert (runner.work_dir / f"epoch_{epochs}.pth").exists()
        assert (runner.log_dir / f"{runner.timestamp}.log").read_text().count("Epoch(train)") == epochs
        assert runner.message_hub.get_scalar("train/loss").count == 3 * epochs


def test_builders_of_mmengine_build_parts_of_other_configs(make_runner: MakeRunner, loader: Loader) -> None:
    runner = make_runner(test_dataloader=loader(4), test_evaluator=[ToyMetric()])
    loop = runner.build_train_loop({"by_epoch": True, "max_epochs": 7})
    assert isinstance(loop, EpochBasedTrainLoop)
    assert loop is not runner.train_loop
    assert runner.build_train_loop(loop) is loop
    assert runner.build_val_loop(None).evaluator is not runner.val_loop.evaluator
    assert runner.build_test_loop({"fp16": True}).fp16
    assert runner.build_test_loop(runner.test_loop) is runner.test_loop
    assert runner.build_log_processor({"window_size": 4}).window_size == 4
    assert runner.build_message_hub() is runner.message_hub
    assert runner.build_message_hub({"name": "other"}).instance_name == "other"
    assert runner.build_visualizer().get_backend("LocalVisBackend").save_dir == runner.log_dir / "vis_data"
    assert runner.build_visualizer(runner.visualizer) is runner.visualizer
    assert runner.build_logger("WARNING").name == "mimctl"


def test_learning_rate_of_another_wrapper_is_scaled(make_runner: MakeRunner) -> None:
    runner = make_runner()
    wrapper = OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=0.4))
    runner.scale_lr(wrapper, {"enable": True, "base_batch_size": 16})
    assert wrapper.get_lr()["lr"] == [pytest.approx(0.1)]


def test_hooks_may_be_registered_later(make_runner: MakeRunner) -> None:
    runner = make_runner(default_hooks={})
    assert runner.hooks == []
    runner.register_default_hooks({"checkpoint": None})
    runner.register_hooks({}, [{"type": "EmptyCacheHook"}])
    names = [type(each).__name__ for each in runner.hooks]
    assert names == ["RuntimeInfoHook", "IterTimerHook", "DistSamplerSeedHook", "EmptyCacheHook", "LoggerHook",
                     "ParamSchedulerHook"]  # fmt: skip
    with pytest.raises(ConfigError, match="priority"):
        runner.register_hook({"type": "EmptyCacheHook"}, "MIDDLE")


def test_config_is_dumped_on_request(make_runner: MakeRunner, tmp_path: Path) -> None:
    runner = Runner.from_cfg(Config({"model": {"type": "ToyModel"}, "work_dir": str(tmp_path / "run"), "note": 3}))
    runner.dump_config()
    found = [Config.fromfile(str(path)) for path in runner.work_dir.glob("*.py")]
    assert [each["note"] for each in found] == [3]


def test_weights_are_loaded_once_on_request(make_runner: MakeRunner, tmp_path: Path) -> None:
    first = make_runner(work_dir=tmp_path / "first")
    first.train()
    second = make_runner(work_dir=tmp_path / "second", load_from=str(first.work_dir / "epoch_3.pth"))
    second.load_or_resume()
    state = first.bare_model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in second.bare_model.state_dict().items())
    with torch.no_grad():
        second.bare_model.last.weight.zero_()
    second.load_or_resume()
    assert not second.bare_model.last.weight.any()


def test_environment_is_set_up_on_request(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.setup_env({"cudnn_benchmark": True})
    assert torch.backends.cudnn.benchmark
    runner.setup_env({})
    assert not torch.backends.cudnn.benchmark
    assert runner.device.type in ("cpu", "cuda")
    assert logging.getLogger("mimctl") is runner.logger
