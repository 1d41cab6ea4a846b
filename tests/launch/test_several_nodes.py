"""One training on two machines without a scheduler: the model of a single process, or one error on both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from machines import Machine, machines

ENGINE_TESTS = Path(__file__).parents[1] / "engine"
PLANE = """\
from ranked_training import Net, Points

from mimctl.engine.registry import DATASETS, MODELS

MODELS.register_module(name="PlaneNet")(Net)
DATASETS.register_module(name="PlanePoints")(Points)
"""
CONFIG = """\
custom_imports = dict(imports=["plane", "once_hook"])
model = dict(type="PlaneNet")
train_dataloader = dict(
    dataset=dict(type="PlanePoints"), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=1
)
train_cfg = dict(by_epoch=True, max_epochs=3)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9))
default_hooks = dict(checkpoint=dict(type="CheckpointHook", interval=1), logger=dict(type="LoggerHook", interval=1))
custom_hooks = []
randomness = dict(seed=3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the training, as on a file system that both machines have."""
    (tmp_path / "plane.py").write_text(PLANE)
    shutil.copy(ENGINE_TESTS.parent / "once_hook.py", tmp_path)
    (tmp_path / "net.py").write_text(CONFIG)
    shutil.copy(ENGINE_TESTS / "ranked_training.py", tmp_path)
    return tmp_path


@pytest.fixture
def both(tmp_path: Path) -> Iterator[list[Machine]]:
    with machines(tmp_path, ["left", "right"]) as made:
        yield made


def start(both: list[Machine], folder: Path, *words: object) -> list[subprocess.Popen[bytes]]:
    """Start the training on both, with two processes on each."""
    nodes = ("--nnodes", 2, "--rdzv-endpoint", "left:29417", "--procs", 4, "--work-dir", folder / "several")
    return [
        machine.mimctl("train", "det", "net.py", *nodes, "--node-rank", rank, *words, cwd=folder, output=told(machine))
        for rank, machine in enumerate(both)
    ]


def told(machine: Machine) -> Path:
    return machine.hosts.with_name(f"{machine.name}.txt")


def train_alone(folder: Path) -> None:
    """Train in one process, with the global batch of four."""
    argv = [sys.executable, "-P", "-m", "mimctl", "train", "det", "net.py", "--gpus", "0", "--work-dir", "alone"]
    environment = {**os.environ, "MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable}
    line = [*argv, "--cfg-options", "train_dataloader.batch_size=4"]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def losses(work_dir: Path) -> list[float]:
    [path] = work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def assert_same_model(folder: Path) -> None:
    one, other = (torch.load(folder / name / "epoch_3.pth", weights_only=True) for name in ("alone", "several"))
    assert (one["meta"]["world_size"], other["meta"]["world_size"]) == (1, 4)
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(value, other["state_dict"][key], rtol=1e-5, atol=1e-6)


def test_two_by_two_ranks_train_the_model_of_one_process(both: list[Machine], folder: Path) -> None:
    processes = start(both, folder)
    train_alone(folder)
    assert [each.wait(240) for each in processes] == [0, 0], [told(each).read_text() for each in both]
    assert "node 1 has done its part" in told(both[1]).read_text()
    found = losses(folder / "several")
    assert len(found) == 12
    assert found == pytest.approx(losses(folder / "alone"), rel=1e-5)
    assert_same_model(folder)
    logs = {path.name.split("_rank")[-1]: path.parent.name for path in folder.glob("several/*/*_rank*.log")}
    assert {rank: "_node1" in place for rank, place in logs.items()} == {"1.log": False, "2.log": True, "3.log": True}


@pytest.mark.slow
def test_the_rank_of_another_machine_that_failed_is_told_once_on_each(both: list[Machine], folder: Path) -> None:
    processes = start(both, folder, "--cfg-options", "custom_hooks=[dict(type='Once', kind='bug', at=3, rank=3)]")
    assert [each.wait(240) for each in processes] == [1, 1]
    for machine in both:
        text = told(machine).read_text()
        assert text.count("error[child-crashed]: ValueError: a bug in a hook") == 1, text
        assert text.count("on rank 3 of 4, host right, with exit code 1") == 1
        assert "rank-lost" not in text
    assert [each.pids() for each in both] == [[], []]


@pytest.mark.slow
def test_all_ranks_start_again_and_train_the_same_model(both: list[Machine], folder: Path) -> None:
    killed = "custom_hooks=[dict(type='Once', kind='kill', at=6, rank=2), dict(type='Once', kind='bug', at=9, rank=0)]"
    processes = start(both, folder, "--max-restarts", 2, "--cfg-options", killed)
    train_alone(folder)
    assert [each.wait(240) for each in processes] == [0, 0], [told(each).read_text() for each in both]
    for machine in both:
        text = told(machine).read_text()
        assert "rank 2 of 4 ended by signal SIGKILL; on host right: all ranks start again (1 of 2)" in text
        assert "all ranks start again (2 of 2)" in text
    assert "resumed from" in "".join(path.read_text() for path in folder.glob("several/*/*.log"))
    assert_same_model(folder)


@pytest.mark.slow
def test_a_machine_whose_cable_is_out_ends_the_run_on_both(both: list[Machine], folder: Path) -> None:
    waits = "custom_hooks=[dict(type='Once', kind='wait', at=3, rank=3)]"
    processes = start(both, folder, "--max-restarts", 1, "--cfg-options", waits)
    deadline = time.monotonic() + 240
    while not (folder / "several" / "done-wait").exists():
        assert time.monotonic() < deadline, [told(each).read_text() for each in both]
        time.sleep(0.1)
    both[0].unplug()
    assert [each.wait(240) for each in processes] == [1, 1]
    assert "error[node-lost]: node 1 (right) answers no more" in told(both[0]).read_text()
    assert "error[node-lost]: node 0 (left) answers no more" in told(both[1]).read_text()
    assert [each.pids() for each in both] == [[], []]
