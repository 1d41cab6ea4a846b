"""Preemption: real signals, all ranks stop at one step, and the resumed run is the uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_signals import SendSignal

from mimctl import __version__
from mimctl.engine.hooks.preemption import Preempted, PreemptionHook
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from mimctl.spec import LauncherFacts, RunSpec
from tests.engine.ranks import on_ranks

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

CONFIG = """
custom_imports = dict(imports=["toy_experiment", "toy_signals"])
model = dict(type="ToyModel")
train_dataloader = dict(
    dataset=dict(type="ToyData", size=64), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=4)
val_dataloader = dict(
    dataset=dict(type="ToyData", size=14), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=2)
val_evaluator = dict(type="ToyMetric")
train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9))
param_scheduler = [dict(type="ReduceOnPlateauLR", monitor="toy/accuracy", patience=0)]
custom_hooks = [dict(type="EMAHook", momentum=0.1)]
randomness = dict(seed=1)
"""
BY_ITERATION: dict[str, Any] = {
    "train_cfg": {"by_epoch": False, "max_iters": 11, "val_interval": 4},
    "default_hooks": {"checkpoint": {"by_epoch": False, "interval": 3}},
}
ON_PLATEAU = {"param_scheduler": [{"type": "ReduceOnPlateauLR", "monitor": "toy/accuracy", "patience": 0}]}

MakeRunner = Callable[..., Runner]


def spec_of(folder: Path, config: str, *, procs: int = 1, number: int = 1, **fields: Any) -> RunSpec:
    """Return the spec of a toy training in `folder`."""
    folder.mkdir(exist_ok=True)
    path = folder.parent / f"{folder.name}-{number}.py"
    path.write_text(config)
    run_dir = folder / f"20260101_0000{number:02d}"
    launcher = LauncherFacts(kind="pytorch" if procs > 1 else "none", num_procs=procs)
    return RunSpec(
        plugin="toy",
        package="toy",
        action="train",
        entry="mimctl.engine.actions:train",
        mimctl_version=__version__,
        config=str(path),
        work_dir=str(folder),
        events_path=str(run_dir / "events.jsonl"),
        result_path=str(run_dir / "result.json"),
        launcher=launcher,
        **fields,
    )


def start(spec: RunSpec, module: str = "child") -> subprocess.Popen[str]:
    """Start a run as a session of its own."""
    path = Path(spec.work_dir or "") / f"spec-{time.monotonic_ns()}.json"
    spec.write(path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"mimctl.engine.{module}", str(path)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a run and return its exit code."""
    out, _ = process.communicate(timeout=240)
    assert "Traceback" not in out, out
    return process.returncode


def marker(spec: RunSpec) -> Path:
    """Return where the batch script looks."""
    return Path(spec.events_path or "").parent / "unfinished"


def result(spec: RunSpec) -> dict[str, Any]:
    """Return what the run said at its end."""
    found: dict[str, Any] = json.loads(Path(spec.result_path or "").read_text())
    return found


def assert_equal(expected: Any, found: Any) -> None:
    """Compare nested data, tensors bit for bit."""
    if isinstance(expected, Tensor):
        assert torch.equal(expected, found)
    elif isinstance(expected, dict):
        assert expected.keys() == found.keys()
        for key, each in expected.items():
            assert_equal(each, found[key])
    elif isinstance(expected, list | tuple):
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            assert_equal(one, other)
    else:
        assert expected == found


def assert_same_end(whole: RunSpec, parts: RunSpec) -> None:
    """Compare the last checkpoints of two runs, and the metrics of their last validation."""
    assert_same_state(*(Path(result(spec)["last_checkpoint"]) for spec in (whole, parts)))
    assert result(whole)["metrics"] == result(parts)["metrics"]


def assert_same_state(*checkpoints: Path) -> None:
    """Compare all that two checkpoints hold of the state of a run."""
    whole, parts = (torch.load(path, weights_only=True) for path in checkpoints)
    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "rng", "sampler"):
        assert_equal(whole[key], parts[key])


def interrupt_and_resume(tmp_path: Path, config: str, hook: str, *, procs: int = 1) -> tuple[RunSpec, RunSpec, RunSpec]:
    """Run once through, and once stopped by `hook` and resumed; return the three specs."""
    module = "agent" if procs > 1 else "child"
    whole = spec_of(tmp_path / "whole", config, procs=procs)
    assert finish(start(whole, module)) == 0
    stopped = spec_of(tmp_path / "parts", f"{config}\ncustom_hooks += [{hook}]\n", procs=procs)
    assert finish(start(stopped, module)) == 0
    assert marker(stopped).is_file()
    assert "unfinished" in result(stopped)
    resumed = spec_of(tmp_path / "parts", config, procs=procs, number=2, resume="auto")
    assert finish(start(resumed, module)) == 0
    assert not marker(resumed).exists()
    assert_same_end(whole, resumed)
    return whole, stopped, resumed


def told(spec: RunSpec) -> dict[str, Any]:
    """Return what the marker says."""
    found: dict[str, Any] = json.loads(marker(spec).read_text())
    return found


def sending(point: str, at: int, *, name: str = "SIGTERM", rank: int | None = None) -> str:
    """Return the config of a hook that sends this process a signal."""
    return f'dict(type="SendSignal", name="{name}", point="{point}", at={at}, rank={rank})'


@pytest.mark.parametrize(
    ("options", "point", "at", "stop", "is_validated"),
    [
        ({}, "before_train", 1, 0, False),
        ({}, "before_train_iter", 5, 5, False),
        ({}, "before_train_iter", 6, 6, False),
        ({}, "after_val_iter", 1, 3, False),
        ({}, "before_save_checkpoint", 1, 3, False),
        (ON_PLATEAU, "after_val_iter", 2, 6, False),
        (BY_ITERATION, "before_train_iter", 4, 4, False),
        (BY_ITERATION, "after_val_iter", 2, 8, False),
    ],
)
@pytest.mark.parametrize("update_buffers", [False, True])
def test_a_signal_stops_at_the_next_step_and_the_resumed_run_is_the_same(
    make_runner: MakeRunner,
    tmp_path: Path,
    options: dict[str, Any],
    point: str,
    at: int,
    stop: int,
    is_validated: bool,
    update_buffers: bool,
) -> None:
    def made(name: str, *hooks: Any, **more: Any) -> Runner:
        ema = {"type": "EMAHook", "momentum": 0.1, "update_buffers": update_buffers}
        return make_runner(work_dir=tmp_path / name, custom_hooks=[ema, *hooks], **options, **more)

    whole = made("whole")
    whole.train()
    hook = PreemptionHook()
    first = made("parts", hook, SendSignal("SIGTERM", point, at))
    with pytest.raises(Preempted, match="SIGTERM") as caught:
        first.train()
    hook.release()
    saved = torch.load(caught.value.checkpoint, weights_only=True)
    assert (saved["meta"]["iter"], saved["meta"]["is_validated"]) == (stop, is_validated)
    assert json.loads((first.log_dir / "unfinished").read_text())["checkpoint"] == str(caught.value.checkpoint)
    second = made("parts", resume=True)
    second.train()
    assert second.iter == whole.iter
    last = "iter_11.pth" if options is BY_ITERATION else "epoch_3.pth"
    assert_same_state(whole.work_dir / last, second.work_dir / last)


def training_of_a_rank(rank: int, folder: str, point: str | None, resume: bool) -> dict[str, Any]:
    """Train on this rank, rank 1 getting a signal at a point; return where it stopped and how it ended."""
    from toy_experiment import ToyMetric, ToyModel, toy_loader

    torch.manual_seed(0)
    hooks = [] if point is None else [SendSignal("SIGUSR2", point, 2, rank=1)]
    hook = PreemptionHook()
    runner = Runner(
        model=ToyModel(),
        work_dir=folder,
        train_dataloader=toy_loader(64),
        val_dataloader=toy_loader(7, shuffle=False, batch_size=1),
        val_evaluator=[ToyMetric()],
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9}},
        custom_hooks=[{"type": "EMAHook", "momentum": 0.25}, hook, *hooks],
        launcher="pytorch",
        randomness={"seed": 3},
        resume=resume,
    )
    try:
        runner.train()
    except Preempted as stopped:
        hook.release()
        marker = runner.log_dir / "unfinished"
        return {"iter": stopped.iter, "told": stopped.signal_name, "marker": json.loads(marker.read_text())}
    return {"iter": runner.iter}


@pytest.mark.parametrize(("point", "stop"), [("before_train_iter", 2), ("after_val_iter", 8)])
def test_ranks_stop_at_one_step_and_go_on_as_if_nothing_had_been(tmp_path: Path, point: str, stop: int) -> None:
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    assert on_ranks(training_of_a_rank, whole, None, False) == [{"iter": 16}] * 2
    first, second = on_ranks(training_of_a_rank, parts, point, False)
    assert first["iter"] == second["iter"] == first["marker"]["iter"] == stop
    assert (first["told"], second["told"]) == ("a signal to another rank", "SIGUSR2")
    assert on_ranks(training_of_a_rank, parts, None, True) == [{"iter": 16}] * 2
    assert_same_state(tmp_path / "whole" / "epoch_2.pth", tmp_path / "parts" / "epoch_2.pth")


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook",
    [
        sending("before_train_iter", 21),
        sending("after_val_iter", 3, name="SIGUSR2"),
        sending("before_save_checkpoint", 1),
        sending("before_train", 1, name="SIGUSR2"),
    ],
    ids=["in an epoch", "in a validation", "while saving", "before the first step"],
)
def test_a_run_of_its_own_process_ends_well_and_is_resumed(tmp_path: Path, hook: str) -> None:
    interrupt_and_resume(tmp_path, CONFIG, hook)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook",
    [sending("before_train_iter", 4, rank=1), sending("after_val_iter", 2, rank=0, name="SIGUSR2")],
    ids=["in an epoch", "in a validation"],
)
def test_a_signal_to_one_rank_stops_all_at_one_step(tmp_path: Path, hook: str) -> None:
    interrupt_and_resume(tmp_path, CONFIG, hook, procs=2)


def wait_for_steps(spec: RunSpec, process: subprocess.Popen[str]) -> None:
    """Wait until the run has logged a step."""
    path = Path(spec.events_path or "")
    while not (path.is_file() and '"event": "step"' in path.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("procs", "workers"),
    [(1, 2), (2, 0)],
    ids=["with workers", "through the agent"],
)
def test_a_signal_to_the_whole_job_leaves_workers_alone(tmp_path: Path, procs: int, workers: int) -> None:
    config = f"{CONFIG}\ntrain_dataloader.update(num_workers={workers}, persistent_workers={workers > 0})\n"
    config += "default_hooks = dict(logger=dict(interval=1))\n"
    module = "agent" if procs > 1 else "child"
    whole = spec_of(tmp_path / "whole", config, procs=procs)
    assert finish(start(whole, module)) == 0
    stopped = spec_of(tmp_path / "parts", f'{config}\ncustom_hooks += [dict(type="Slow")]\n', procs=procs)
    process = start(stopped, module)
    wait_for_steps(stopped, process)
    if procs > 1:
        # The agent passes it on; its ranks are sessions of their own.
        process.send_signal(signal.SIGTERM)
    else:
        os.killpg(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
    assert finish(process) == 0
    assert 0 < told(stopped)["iter"] < 31
    resumed = spec_of(tmp_path / "parts", config, procs=procs, number=2, resume="auto")
    assert finish(start(resumed, module)) == 0
    assert_same_end(whole, resumed)


@pytest.mark.slow
def test_preemption_can_be_left_out(tmp_path: Path) -> None:
    config = f"{CONFIG}\ndefault_hooks = dict(preemption=None)\ncustom_hooks += [{sending('before_train_iter', 2)}]\n"
    spec = spec_of(tmp_path / "run", config)
    assert finish(start(spec)) == 143
    assert not marker(spec).exists()


def test_a_script_gets_an_exception_that_ends_it_well(make_runner: MakeRunner) -> None:
    held = signal.getsignal(signal.SIGTERM)
    hook = PreemptionHook(["SIGTERM"])
    runner = make_runner(custom_hooks=[hook, SendSignal("SIGTERM", "before_train_iter", 5)])
    with pytest.raises(Preempted, match="SIGTERM") as caught:
        runner.train()
    assert caught.value.code == 0
    assert caught.value.checkpoint == runner.work_dir / "preempted.pth"
    hook.release()
    assert signal.getsignal(signal.SIGTERM) is held


def test_signals_go_back_at_the_end_of_a_run(make_runner: MakeRunner) -> None:
    held = signal.getsignal(signal.SIGTERM)
    make_runner(custom_hooks=[PreemptionHook()]).train()
    assert signal.getsignal(signal.SIGTERM) is held


def test_a_checkpoint_slower_than_the_lead_time_is_warned_of(
    make_runner: MakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    from mimctl.engine.hooks import Hook

    waiting = type("Waiting", (Hook,), {"before_save_checkpoint": lambda self, *args, **kwargs: time.sleep(0.02)})()
    hook = PreemptionHook(lead_s=0.01)
    runner = make_runner(custom_hooks=[hook])
    runner.register_hook(waiting, "LOWEST")
    with caplog.at_level("WARNING", logger="mimctl"):
        runner.train()
    assert "lead_s" in (runner.log_dir / f"{runner.timestamp}.log").read_text()


def test_a_signal_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="SIGTREM") as caught:
        PreemptionHook(["SIGTREM"])
    assert caught.value.hints == ("did you mean `SIGTERM`?",)
    with pytest.raises(ConfigError):
        PreemptionHook(["SIGKILL"])
