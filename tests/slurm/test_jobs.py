"""Trainings as jobs of a real Slurm: submitted, followed, looked at, cancelled, resumed."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
from pathlib import Path

import torch
from login_node import Login
from patience import wait_until

LONG = ("--cfg-options", "train_cfg.max_epochs=100000")


def test_a_job_is_submitted_followed_and_found_again(login: Login, tmp_path: Path) -> None:
    done = login.train("--gpus", 0, "--name", "first")
    assert done.returncode == 0, done.stderr
    assert re.search(r"job \d+: running on n\d", done.stderr)
    assert "train: epoch 2 of 2" in done.stderr
    checkpoint = Path(done.stdout.strip())
    assert checkpoint == tmp_path / "work_dirs/toy/epoch_2.pth"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    runs = json.loads(Login(elsewhere, login.environment).mimctl("status", "--json").stdout)["runs"]
    assert [(each["name"], each["state"], each["checkpoint"]) for each in runs] == [("first", "done", str(checkpoint))]
    for word in (runs[0]["run_id"], runs[0]["run_id"][:3], "last", runs[0]["job_id"], "work_dirs/toy", "first"):
        assert login.status(word)["run_id"] == runs[0]["run_id"]
    told = login.mimctl("logs", "-f", "last").stdout
    assert "Epoch(train) [2][16/16]" in told
    assert told.splitlines()[-1].startswith("ranks meet at n"), "what the job printed comes last"
    assert "ranks meet" not in login.mimctl("logs", "last", "--rank", 0).stdout


def test_ranks_of_two_nodes_train_one_model(login: Login, tmp_path: Path) -> None:
    done = login.train("--procs", 2, "--nodes", 2)
    assert done.returncode == 0, done.stderr
    assert re.search(r"job \d+: \w+ on n\[1-2\]", done.stderr)
    meta = torch.load(tmp_path / "work_dirs/toy/epoch_2.pth", weights_only=True)["meta"]
    assert (meta["world_size"], meta["iter"]) == (2, 16)


def test_the_rank_that_failed_is_told_once(login: Login) -> None:
    trouble = "custom_hooks=[dict(type='Trouble', kind='error', at=3, rank=1)]"
    done = login.train("--procs", 2, "--cfg-options", trouble)
    assert done.returncode == 1
    assert done.stderr.count("ValueError: a bug in a hook") == 2  # the error, and the last line of its traceback
    assert "on rank 1" in done.stderr
    state = login.status("last")
    assert (state["state"], state["error"]["code"], state["error"]["details"]["rank"]) == ("failed", "child-crashed", 1)


def test_a_cancelled_job_stays_dead_and_can_be_resumed(login: Login, tmp_path: Path) -> None:
    run = login.train("--gpus", 0, "--detach", *LONG).stdout.strip()
    state = login.wait(run, lambda each: (each["checkpoint"] or "").endswith(".pth"))
    assert login.mimctl("cancel", run).returncode == 0
    cancelled = login.wait(run, lambda each: each["state"] not in ("running", "waiting"))
    assert (cancelled["state"], cancelled["resumable"]) == ("cancelled", True)
    assert "Restarts=0" in login.job_env(state["job_id"])
    # The same run goes on: its settings come from its own files, not from what has become of the config.
    done = login.mimctl("resume", run, "--detach")
    assert done.stdout.strip() == run
    wait_until(lambda: "resumed from" in "".join(each.read_text() for each in tmp_path.glob("work_dirs/toy/*/*.log")))
    resumed = login.status(run)
    assert (resumed["state"], resumed["run_dir"]) == ("running", state["run_dir"])
    assert resumed["job_id"] != state["job_id"]
    assert login.mimctl("resume", run).returncode == 1, "a run that goes on is not started twice"
    login.mimctl("cancel", run)


def test_ctrl_c_stops_looking_and_the_job_goes_on(login: Login) -> None:
    argv = login.argv("train", "det", "toy.py", "--launcher", "slurm", "--gpus", "0", "-c", "1", *LONG)
    process = subprocess.Popen(
        argv, cwd=login.folder, env=login.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(login.folder.glob("work_dirs/toy/*/events.jsonl")))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "goes on" in told
    assert login.status("last")["state"] == "running"
    assert login.mimctl("cancel", "last").returncode == 0


def test_what_slurm_refuses_is_told_in_its_words_and_is_no_run(login: Login) -> None:
    refused = login.train("--gpus", 0, "--sbatch-args", "--constraint=nowhere")
    assert refused.returncode == 1
    assert "error[slurm-refused]" in refused.stderr
    assert "Invalid feature specification" in refused.stderr
    assert json.loads(login.mimctl("status", "--json").stdout)["runs"] == []


def test_counts_that_another_job_left_in_the_shell_mean_nothing(login: Login, tmp_path: Path) -> None:
    leaked = {"SLURM_NTASKS": "3", "SLURM_NTASKS_PER_NODE": "3", "SLURM_MEM_PER_CPU": "1", "SBATCH_GRES": "gpu:4"}
    of_torch = {"TORCHELASTIC_USE_AGENT_STORE": "True", "GROUP_WORLD_SIZE": "3", "WORLD_SIZE": "3", "RANK": "1"}
    done = login.train("--gpus", 0, **leaked, **of_torch, SLURM_JOB_ID="77", SLURM_CPU_BIND="quiet", PMI_RANK="5")
    assert done.returncode == 0, done.stderr
    meta = torch.load(tmp_path / "work_dirs/toy/epoch_2.pth", weights_only=True)["meta"]
    assert meta["world_size"] == 1
    assert "gpu" not in login.job_env(login.status("last")["job_id"])


def test_each_rank_gets_its_gpus_and_cpus(login: Login) -> None:
    done = login.train("--gpus", 4, "--gpus-per-node", 2, "--time", "10", "--job-name", "my job; rm -rf /", "--detach")
    told = login.job_env(login.status(done.stdout.strip())["job_id"])
    assert re.search(r"NumNodes=2(-2)?\s", told), "a job that waits still says from how many to how many"
    assert {"NumTasks=4", "CPUs/Task=1", "TresPerNode=gres:gpu:2"} <= set(told.split())
    assert "TimeLimit=00:10:00" in told
    assert "JobName=my job; rm -rf /" in told
    login.mimctl("cancel", "last")


def test_a_watched_run_is_waited_for_and_ends_with_its_ranks(login: Login, tmp_path: Path) -> None:
    done = login.train("--procs", 2, "--nodes", 2, "--foreground", SLURM_NTASKS="5")
    assert done.returncode == 0, done.stderr
    meta = torch.load(tmp_path / "work_dirs/toy/epoch_2.pth", weights_only=True)["meta"]
    assert meta["world_size"] == 2
    trouble = "custom_hooks=[dict(type='Trouble', kind='error', at=3, rank=1)]"
    failed = login.train("--procs", 2, "--foreground", "--cfg-options", trouble)
    assert failed.returncode == 1
    assert "on rank 1" in failed.stderr
    assert login.status("last")["state"] == "failed"


def test_a_watched_run_meets_at_another_port_where_somebody_listens(login: Login, tmp_path: Path) -> None:
    held = login.train("--gpus", 0, "--detach", "--work-dir", "held", "--sbatch-args=--hold").stdout.strip()
    first = int(login.status(held)["job_id"]) + 1
    with contextlib.ExitStack() as stack:
        for job in range(first, first + 5):
            with contextlib.suppress(OSError):  # somebody else listens
                stack.enter_context(socket.create_server(("", 20000 + job % 12000)))
        done = login.train("--procs", 2, "--nodes", 2, "--foreground")
        assert done.returncode == 0, done.stderr
    run_dir = Path(login.status("last")["run_dir"])
    [word] = (run_dir / "ranks").glob("port-*")
    assert int(word.read_text()) not in [20000 + job % 12000 for job in range(first, first + 5)]
    assert torch.load(tmp_path / "work_dirs/toy/epoch_2.pth", weights_only=True)["meta"]["world_size"] == 2
    assert login.mimctl("cancel", held).returncode == 0


def test_ctrl_c_ends_a_watched_run(login: Login) -> None:
    argv = login.argv("train", "det", "toy.py", "--launcher", "slurm", "--gpus", "0", "-c", "1", "--foreground", *LONG)
    process = subprocess.Popen(
        argv, cwd=login.folder, env=login.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (login.folder / "work_dirs/toy/last_checkpoint").exists())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert (login.status("last")["state"], login.status("last")["resumable"]) == ("cancelled", True)
    queue = subprocess.run(["squeue", "-h", "-t", "R"], env=login.environment, capture_output=True, text=True)
    assert "toy_train" not in queue.stdout


def test_a_meeting_place_that_nobody_knows_ends_the_job_with_the_reason(login: Login) -> None:
    done = login.train("--procs", 2, "--nodes", 2, MASTER_ADDR="no-such-host.invalid")
    assert done.returncode == 1
    assert "error[no-meeting-place]: ranks cannot meet at `no-such-host.invalid:" in done.stderr


def test_a_second_run_in_a_work_dir_and_a_folder_that_cannot_be_written_are_refused(login: Login) -> None:
    run = login.train("--gpus", 0, "--detach", *LONG).stdout.strip()
    login.wait(run, lambda each: each["state"] == "running" and bool(each["step"]))
    second = login.train("--gpus", 0)
    assert second.returncode == 1
    assert "error[work-dir-in-use]" in second.stderr
    assert login.mimctl("cancel", run).returncode == 0
    full = login.train("--gpus", 0, "--work-dir", "/proc/nowhere")
    assert full.returncode == 1
    assert "error[" in full.stderr
    assert "Traceback" not in full.stderr
