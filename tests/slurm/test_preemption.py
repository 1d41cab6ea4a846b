"""Jobs that are stopped from outside, and what becomes of them: the same training, or a dead job."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from login_node import Login
from mini_slurm import mini_slurm
from patience import wait_until

SLOW = "custom_hooks=[dict(type='Pause', seconds=0.15)]"
ITERATIONS = 160


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the variables of a Slurm whose nodes have networks and names of their own.

    Ranks that look for each other at 127.0.0.1 do not meet there.
    """
    with mini_slurm(tmp_path_factory.mktemp("slurm-apart"), apart=True) as environment:
        yield environment


@pytest.fixture
def patient(login: Login) -> Login:
    """Return a user whose toy experiment takes some seconds, with a hook that waits between its steps."""
    (login.folder / "pauses.py").write_text(
        "import time\n"
        "from mimctl.engine.hooks import Hook\n"
        "from mimctl.engine.registry import HOOKS\n\n\n"
        "@HOOKS.register_module()\n"
        "class Pause(Hook):\n"
        "    def __init__(self, seconds):\n"
        "        self.seconds = seconds\n\n"
        "    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):\n"
        "        time.sleep(self.seconds)\n"
    )
    config = (login.folder / "toy.py").read_text().replace('["toy_experiment"]', '["toy_experiment", "pauses"]')
    (login.folder / "toy.py").write_text(config)
    return login


def start(login: Login, *words: object, work_dir: str, epochs: int = 10) -> str:
    done = login.train(
        "--detach", "--work-dir", work_dir, *words, "--cfg-options", SLOW, f"train_cfg.max_epochs={epochs}"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until_training(login: Login, run: str, epoch: int = 2) -> dict[str, Any]:
    return login.wait(run, lambda each: each["step"].get("epoch", 0) >= epoch)


def finish(login: Login, run: str) -> dict[str, Any]:
    over = login.wait(run, lambda each: each["state"] not in ("running", "waiting"), seconds=240)
    assert over["state"] == "done", over
    return over


def weights(folder: Path) -> dict[str, torch.Tensor]:
    path = Path((folder / "last_checkpoint").read_text().strip())
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["meta"]["iter"] == ITERATIONS // checkpoint["meta"]["world_size"]
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("partition", ["low", "abrupt"])
def test_a_preempted_job_comes_back_and_trains_the_same_model(patient: Login, partition: str) -> None:
    run = start(patient, "--gpus", 0, "--partition", partition, work_dir=partition)
    job = until_training(patient, run)["job_id"]
    patient.take_nodes()
    finish(patient, run)
    assert "Restarts=1" in patient.job_env(job)
    if partition == "low":
        assert (patient.folder / partition / "preempted.pth").exists(), "it was warned, and saved where it was"
    whole = start(patient, "--gpus", 0, "--partition", partition, work_dir="whole")
    finish(patient, whole)
    assert_equal(weights(patient.folder / partition), weights(patient.folder / "whole"))


@pytest.mark.slow
def test_a_job_of_two_nodes_that_is_preempted_twice_trains_the_same_model(patient: Login) -> None:
    two = ("--procs", 2, "--nodes", 2, "--partition", "low")
    run = start(patient, *two, work_dir="twice")
    job = until_training(patient, run)["job_id"]
    for number in (1, 2):
        patient.take_nodes()
        wait_until(lambda number=number: f"Restarts={number}" in patient.job_env(job))  # type: ignore[misc]
        epoch = patient.status(run)["step"]["epoch"]
        patient.wait(run, lambda each, epoch=epoch: each["state"] == "running" and each["step"]["epoch"] > epoch)
    finish(patient, run)
    assert "Restarts=2" in patient.job_env(job)
    finish(patient, start(patient, *two, work_dir="whole"))
    assert_equal(weights(patient.folder / "twice"), weights(patient.folder / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("partition", ["low", "abrupt"])
def test_a_preempted_job_with_an_agent_on_each_node_trains_the_same_model(patient: Login, partition: str) -> None:
    two = ("--procs", 2, "--nodes", 2, "--elastic", "--partition", partition)
    run = start(patient, *two, work_dir=partition)
    job = until_training(patient, run)["job_id"]
    patient.take_nodes()
    finish(patient, run)
    assert "Restarts=1" in patient.job_env(job)
    if partition == "low":
        assert (patient.folder / partition / "preempted.pth").exists()
    finish(patient, start(patient, *two, work_dir="whole"))
    assert_equal(weights(patient.folder / partition), weights(patient.folder / "whole"))


@pytest.mark.slow
def test_a_job_whose_time_is_up_goes_on_in_another(patient: Login) -> None:
    run = start(patient, "--gpus", 0, "--time", 2, "--lead-time", 80, work_dir="timed", epochs=60)
    job = until_training(patient, run)["job_id"]
    patient.wait(run, lambda each: "Restarts=1" in patient.job_env(job))
    goes_on = patient.wait(run, lambda each: each["slurm_state"] == "RUNNING")
    assert goes_on["job_id"] == job
    assert patient.mimctl("cancel", run).returncode == 0


def test_a_cancelled_job_is_not_requeued_although_it_saved(patient: Login) -> None:
    run = start(patient, "--gpus", 0, work_dir="cancelled", epochs=1000)
    job = until_training(patient, run)["job_id"]
    subprocess.run(["scancel", job], env=patient.environment, check=True)
    over = patient.wait(run, lambda each: each["state"] not in ("running", "waiting"))
    assert (over["state"], over["resumable"]) == ("cancelled", True)
    assert (patient.folder / "cancelled" / "preempted.pth").exists()
    time.sleep(3)
    assert "Restarts=0" in patient.job_env(job)
    assert patient.status(run)["slurm_state"] == "CANCELLED"
