"""One agent a node under Slurm: it starts the node's ranks, starts them again, and tells of what ends them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from login_node import Login

TWO_BY_TWO = ("--procs", 4, "--nodes", 2, "--elastic")


@pytest.fixture
def user(login: Login) -> Login:
    """Return a user with a hook that makes trouble once."""
    shutil.copy(Path(__file__).parents[1] / "once_hook.py", login.folder)
    config = login.folder / "toy.py"
    config.write_text(config.read_text().replace('["toy_experiment"]', '["toy_experiment", "once_hook"]'))
    return login


def trained(folder: Path, ranks: int = 4) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "epoch_2.pth", weights_only=True)
    assert checkpoint["meta"]["world_size"] == ranks
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def events(login: Login) -> list[dict[str, object]]:
    path = Path(login.status("last")["run_dir"], "events.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_agent_on_each_node_starts_its_ranks(user: Login) -> None:
    foreign = {"RANK": "7", "LOCAL_RANK": "7", "WORLD_SIZE": "9"}
    done = user.train("--procs", 2, "--nodes", 2, "--elastic", "--cpus-per-task", 2, "--work-dir", "work", **foreign)
    assert done.returncode == 0, done.stderr
    trained(user.folder / "work", ranks=2)
    told = set(user.job_env(user.status("last")["job_id"]).split())
    assert {"NumNodes=2", "NumTasks=2", "CPUs/Task=2"} <= told


@pytest.mark.slow
def test_ranks_that_were_killed_start_again_on_all_nodes(user: Login) -> None:
    killed = "custom_hooks=[dict(type='Once', kind='kill', at=5, rank=3)]"
    done = user.train(*TWO_BY_TWO, "--max-restarts", 1, "--work-dir", "again", "--cfg-options", killed)
    assert done.returncode == 0, done.stderr
    assert "rank 3 of 4 ended by signal SIGKILL" in done.stderr
    [restart] = [event for event in events(user) if event["event"] == "restart"]
    assert (restart["number"], restart["most"]) == (1, 1)
    whole = user.train(*TWO_BY_TWO, "--work-dir", "whole")
    assert whole.returncode == 0, whole.stderr
    one, other = trained(user.folder / "again"), trained(user.folder / "whole")
    for key, value in one.items():
        # Four summands are added in another order in the first step of a process group.
        torch.testing.assert_close(value, other[key], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_the_rank_that_failed_is_told_once_with_its_host(user: Login) -> None:
    trouble = "custom_hooks=[dict(type='Trouble', kind='error', at=3, rank=3)]"
    done = user.train(*TWO_BY_TWO, "--cfg-options", trouble)
    assert done.returncode == 1
    assert done.stderr.count("error[child-crashed]: ValueError: a bug in a hook") == 1
    assert done.stderr.count("on rank 3 of 4, host ") == 1
    assert [event["event"] for event in events(user)].count("error") == 1
    assert user.status("last")["state"] == "failed"


@pytest.mark.slow
def test_an_agent_that_is_killed_is_told_by_the_other(user: Login) -> None:
    waits = "custom_hooks=[dict(type='Once', kind='wait', at=3, rank=3)]"
    run = user.train(*TWO_BY_TWO, "--detach", "--work-dir", "work", "--cfg-options", waits).stdout.strip()
    flag = user.folder / "work" / "done-wait"
    deadline = time.monotonic() + 240
    while not (flag.exists() and flag.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(int(flag.read_text()), signal.SIGKILL)
    over = user.wait(run, lambda each: each["state"] not in ("running", "waiting"))
    assert over["state"] == "failed"
    assert over["error"]["code"] == "node-lost"
    assert over["error"]["details"]["nodes"] == [1]


@pytest.mark.slow
def test_a_cancelled_job_leaves_no_process_and_stays_dead(user: Login) -> None:
    waits = "train_cfg.max_epochs=100000"
    run = user.train(*TWO_BY_TWO, "--detach", "--work-dir", "work", "--cfg-options", waits).stdout.strip()
    job = user.wait(run, lambda each: (each["checkpoint"] or "").endswith(".pth"))["job_id"]
    assert user.mimctl("cancel", run).returncode == 0
    over = user.wait(run, lambda each: each["state"] not in ("running", "waiting"))
    assert (over["state"], over["resumable"]) == ("cancelled", True)
    assert (user.folder / "work" / "preempted.pth").exists()
    left = subprocess.run(["pgrep", "-f", f"{over['run_dir']}/"], capture_output=True, text=True).stdout.split()
    assert left == []
    assert "Restarts=0" in user.job_env(job)
