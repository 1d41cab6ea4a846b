"""A step that its user waits for fails, or is stopped: told with rank, host and exit code, and no process is left."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from login_node import Login
from patience import wait_until
from rough_toolbox import install_rough_toolbox, process_ids, wait_for_end, wait_for_ids
from toy_toolbox import ROOT

PATIENCE_S = 240.0
RANKS = ("--launcher", "slurm", "--foreground", "--procs", "2", "-c", "1")


@pytest.fixture
def rough(login: Login, tmp_path: Path) -> Login:
    """Install the toolbox `rough` for the user."""
    install_rough_toolbox(tmp_path / "site")
    paths = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    return Login(login.folder, {**login.environment, "PYTHONPATH": paths})


def argv(login: Login, mode: str) -> list[str]:
    options = ("--cfg-options", f"model.mode={mode}", "--work-dir", "w")
    return login.argv("train", "rough", "rough_small", *options, *RANKS)


def start(login: Login, argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv, cwd=login.folder, env=login.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    ("mode", "code", "message", "where"),
    [
        ("bug deaf", 1, "error[child-crashed]: ValueError: the net tore", "on rank 1 of 2, host "),
        ("SIGSEGV deaf", 139, "error[rank-died]: rank 1 ended by signal SIGSEGV", "on host n"),
        ("exit deaf", 7, "error[rank-died]: rank 1 ended with exit code 7", "on host n"),
    ],
)
def test_a_rank_that_fails_is_told_and_the_others_are_not_waited_for(
    rough: Login, mode: str, code: int, message: str, where: str
) -> None:
    process = start(rough, argv(rough, mode))
    _, told = process.communicate(timeout=240)
    assert (process.returncode, told.count("error[")) == (code, 1), told
    assert message in told
    assert where in told
    wait_for_end(process_ids(rough.folder / "w"), seconds=PATIENCE_S)
    assert rough.status("last")["error"]["details"]["rank"] == 1


def test_a_step_ends_with_the_mimctl_that_was_killed(rough: Login) -> None:
    process = start(rough, argv(rough, "hangs deaf"))
    pids = wait_for_ids(rough.folder / "w", 2)
    process.kill()
    wait_for_end(pids, seconds=PATIENCE_S)
    process.communicate()


def test_a_watched_training_saves_its_state_when_it_is_stopped(login: Login) -> None:
    words = ("train", "det", "toy.py", *RANKS, "--cfg-options", "train_cfg.max_epochs=100000")
    process = start(login, login.argv(*words))
    wait_until(lambda: (login.folder / "work_dirs/toy/last_checkpoint").exists())
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 143, told
    assert "preempted.pth" in told
    assert login.status("last")["resumable"]
