"""Hooks that look at a run: what its iterations cost, what it holds in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mimctl.engine.hooks import ProfilerHook
from mimctl.engine.hooks.memory_profiler import memory_facts, resident_mb
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError

MakeRunner = Callable[..., Runner]


def log_of(runner: Runner) -> str:
    """Return the log of a run."""
    return (runner.log_dir / f"{runner.timestamp}.log").read_text()


def profiled(make_runner: MakeRunner, **options: Any) -> Runner:
    """Return a runner that has trained with a ProfilerHook."""
    runner = make_runner(custom_hooks=[{"type": "ProfilerHook", **options}], train_cfg={"max_epochs": 2})
    runner.train()
    return runner


def test_the_first_epoch_is_written_as_a_trace_and_a_table(make_runner: MakeRunner) -> None:
    runner = profiled(make_runner)
    folder = runner.log_dir / "profile"
    assert sorted(path.name for path in folder.iterdir()) == ["iter_3.json", "iter_3.txt"]
    steps = [event["name"] for event in json.loads((folder / "iter_3.json").read_text())["traceEvents"]]
    assert "aten::addmm" in steps
    assert "aten::addmm" in (folder / "iter_3.txt").read_text()
    assert str(folder / "iter_3.json") in log_of(runner)


def test_iterations_are_profiled_by_a_schedule(make_runner: MakeRunner) -> None:
    seen: list[int] = []
    schedule = {"wait": 1, "warmup": 1, "active": 1, "repeat": 1}
    profiled(
        make_runner,
        by_epoch=False,
        profile_times=4,
        schedule=schedule,
        on_trace_ready=lambda profiler: seen.append(profiler.step_num),
    )
    assert seen == [3]


def test_a_table_goes_to_the_log(make_runner: MakeRunner) -> None:
    ready = {"type": "log_trace", "sort_by": "self_cpu_time_total", "row_limit": 3}
    assert "Self CPU time total" in log_of(profiled(make_runner, on_trace_ready=ready))


def test_files_for_tensorboard_need_no_tensorboard(make_runner: MakeRunner) -> None:
    runner = profiled(make_runner, on_trace_ready={"type": "tb_trace"})
    assert list((runner.log_dir / "tf_tracing_logs").glob("*.pt.trace.json"))


def test_a_trace_goes_where_it_is_told_to(make_runner: MakeRunner) -> None:
    options = {"json_trace_path": "traces/mine.json", "on_trace_ready": {"type": "log_trace", "row_limit": 3}}
    runner = profiled(make_runner, by_epoch=False, profile_times=2, **options)
    assert json.loads((runner.log_dir / "traces" / "mine.json").read_text())["traceEvents"]
    assert "Self CPU time total" in log_of(runner)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"profile_times": 0}, "profile_times"),
        ({"profile_times": 2}, "by_epoch=False"),
        ({"on_trace_ready": {"type": "log_trase"}}, "log_trace"),
        ({"on_trace_ready": {"type": "tb_trace"}, "json_trace_path": "a.json"}, "worker_name"),
    ],
)
def test_what_cannot_be_profiled_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProfilerHook(**options)
    assert word in " ".join([caught.value.message, *caught.value.hints])


def test_more_iterations_than_there_are_cannot_be_profiled(make_runner: MakeRunner) -> None:
    with pytest.raises(ConfigError, match="9 of 6"):
        profiled(make_runner, by_epoch=False, profile_times=9)


def test_memory_is_logged_at_its_interval(make_runner: MakeRunner) -> None:
    runner = make_runner(custom_hooks=[{"type": "MemoryProfilerHook", "interval": 2}], train_cfg={"max_epochs": 2})
    runner.train()
    assert log_of(runner).count("memory: process") == 2


def test_memory_grows_by_what_is_allocated() -> None:
    facts = memory_facts()
    held = torch.ones(64, 2**20 // 4)  # 64 MB
    grown = memory_facts()
    assert grown["process"] - facts["process"] > 50
    assert held.sum() == held.numel()
    assert 0 < grown["machine available"] < grown["of"]
    assert resident_mb(2**22 + 1) is None
