"""Jobs that Slurm's controller has forgotten: what `sacct` says of them, where a cluster keeps accounts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import Login
from mini_slurm import mini_slurm
from slurm_accounts import accounts, require_accounts

LONG = ("--cfg-options", "train_cfg.max_epochs=100000")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return a Slurm with accounts that forgets its jobs after two seconds."""
    require_accounts()
    folder = tmp_path_factory.mktemp("slurm")
    with mini_slurm(folder, MinJobAge=2) as environment, accounts(environment):
        yield environment


@pytest.mark.slow
def test_what_the_controller_has_forgotten_the_accounts_tell(login: Login) -> None:
    run = login.train("--gpus", 0, "--detach", *LONG).stdout.strip()
    state = login.wait(run, lambda each: bool(each["checkpoint"]))
    # Its script is killed, and comes to write nothing down; the rank saves when it is told to end.
    place = f"{Path(login.environment['SLURM_CONF']).parent}/.*/job{int(state['job_id']):05d}/slurm_script"
    os.kill(int(subprocess.check_output(["pgrep", "-f", place])), signal.SIGKILL)
    login.wait(run, lambda each: each["state"] not in ("running", "waiting"))
    login.wait_until_forgotten(state["job_id"])
    over = login.wait(run, lambda each: each["slurm_state"] is not None)
    assert (over["state"], over["slurm_state"], over["nodes"]) == ("stopped", "FAILED", state["nodes"])
    assert over["resumable"] is True

    cancelled = login.train("--gpus", 0, "--detach", "--work-dir", "other", *LONG).stdout.strip()
    state = login.wait(cancelled, lambda each: bool(each["step"]))
    subprocess.run(["scancel", state["job_id"]], env=login.environment, check=True)
    login.wait(cancelled, lambda each: each["state"] not in ("running", "waiting"))
    login.wait_until_forgotten(state["job_id"])
    over = login.wait(cancelled, lambda each: each["slurm_state"] is not None)
    assert (over["state"], over["slurm_state"]) == ("cancelled", "CANCELLED")
    both = login.mimctl("status").stdout
    assert "stopped, resumable" in both
    assert "cancelled, resumable" in both
