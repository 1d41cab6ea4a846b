"""Runs of this machine that nobody waits for: they outlive their terminal, are looked at, stopped and gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import pty
from pathlib import Path

from login_node import Login

from mimctl.launch.processes.process_table import descendants, end_all, start_time


def type_in_terminal(desk: Login, *words: object) -> str:
    """Run a line in a terminal of its own, close the terminal when the line is done, and return what it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.folder)
        argv = desk.argv(*words)
        os.execvpe(argv[0], argv, desk.environment)
    shown = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 4096):
            shown += chunk
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode()


def test_a_training_outlives_its_terminal(tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    shown = type_in_terminal(
        desk,
        "train",
        "det",
        "toy.py",
        "--gpus",
        0,
        "-d",
        "--name",
        "mine",
        "--cfg-options",
        "train_cfg.max_epochs=100000",
    )
    run = shown.split("run ")[1].split()[0]
    assert f"follow it: `mimctl logs -f {run}`" in shown
    running = desk.wait(run, lambda each: bool(each["checkpoint"]))
    assert (running["state"], running["name"], running["job_id"]) == ("running", "mine", None)
    pid = running["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert "Epoch(train) [1]" in desk.mimctl("logs", run).stdout
    assert desk.mimctl("cancel", run).returncode == 0
    cancelled = desk.wait(run, lambda each: each["state"] != "running")
    assert (cancelled["state"], cancelled["resumable"]) == ("cancelled", True)

    # What is left of it is short now, and goes on by itself, too, as the same run.
    spec = Path(cancelled["run_dir"], "resume.json")
    done = json.loads(Path(cancelled["run_dir"], "unfinished").read_text())["epoch"]
    text = json.loads(spec.read_text())
    spec.write_text(json.dumps({**text, "overrides": {"train_cfg.max_epochs": done + 2}}))
    assert desk.mimctl("resume", run, "--detach").stdout.strip() == run
    after = desk.wait(run, lambda each: each["state"] not in ("running", "unknown"))
    assert (after["state"], after["run_id"]) == ("done", run)
    assert after["checkpoint"].endswith(f"epoch_{done + 2}.pth")
    lines = desk.mimctl("logs", "-f", run).stdout
    assert "resumed from" in lines


def test_why_it_failed_stands_in_its_log_and_its_status(tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    trouble = "custom_hooks=[dict(type='Trouble', kind='kill', at=3)]"
    run = desk.mimctl("train", "det", "toy.py", "--gpus", 0, "-d", "--cfg-options", trouble).stdout.strip()
    lines = desk.mimctl("logs", "-f", run).stdout
    assert "error[child-died]: train ended with signal SIGKILL" in lines
    state = desk.status(run)
    assert (state["state"], state["error"]["code"], state["error"]["exit_code"]) == ("failed", "child-died", 137)


def test_one_whose_processes_were_all_killed_is_told_so(tmp_path: Path) -> None:
    desk = Login.at(tmp_path)
    line = ("train", "det", "toy.py", "--gpus", 0, "-d", "--cfg-options", "train_cfg.max_epochs=100000")
    run = desk.mimctl(*line).stdout.strip()
    pid = desk.wait(run, lambda each: bool(each["checkpoint"]))["pid"]
    end_all({pid: start_time(pid), **descendants(pid)})
    state = desk.wait(run, lambda each: each["state"] != "running")
    assert (state["state"], state["resumable"]) == ("stopped", True)
    assert state["note"].startswith(f"its process ({pid}) is gone without a word")
    assert f"note: its process ({pid})" in desk.mimctl("status", run).stdout + desk.mimctl("status", run).stderr


def test_waiting_and_not_waiting_contradict_each_other(tmp_path: Path) -> None:
    done = Login.at(tmp_path).mimctl("train", "det", "toy.py", "-l", "slurm", "--foreground", "--detach")
    assert done.returncode == 2
    assert "`--foreground` waits for the run, `--detach` does not" in done.stderr
