"""Jobs on bad days: cancelled in the queue, not queued again, a controller or a node that goes, a disk that is full."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import Login
from mini_slurm import mini_slurm, no_controller
from patience import wait_until

LONG = ("--cfg-options", "train_cfg.max_epochs=100000")
ENDED = ("done", "failed", "cancelled", "stopped", "unknown")
SMALL = "small"
"""A tiny disk in the cluster's folder, which login node and nodes share."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return a Slurm that soon forgets its jobs, soon misses its nodes, and soon gives up on its controller."""
    folder = tmp_path_factory.mktemp("slurm")
    small = folder / SMALL
    small.mkdir()
    has_disk = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", small]).returncode == 0
    try:
        with mini_slurm(folder, MinJobAge=2, SlurmdTimeout=5, MessageTimeout=3) as environment:
            yield environment
    finally:
        if has_disk:
            subprocess.run(["umount", "--lazy", small], check=True)


def daemon(login: Login, name: str) -> int:
    return int((Path(login.environment["SLURM_CONF"]).parent / f"{name}.pid").read_text())


def begun(login: Login, *words: object) -> str:
    done = login.train("--gpus", 0, "--detach", *words, *LONG)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def has_saved(state: dict[str, object]) -> bool:
    return bool(state["checkpoint"]) and state["state"] == "running"


def is_over(state: dict[str, object]) -> bool:
    return state["state"] in ENDED


def goes_on(login: Login, run: str) -> None:
    wait_until(lambda: "resumed from" in login.mimctl("logs", run, "--rank", 0).stdout)


def test_a_preempted_job_that_slurm_does_not_queue_again_can_be_resumed(login: Login) -> None:
    run = begun(login, "--partition", "gone")
    job = login.wait(run, has_saved)["job_id"]
    login.take_nodes()
    over = login.wait(run, is_over)
    assert (over["state"], over["resumable"]) == ("stopped", True)
    assert over["slurm_state"] in ("PREEMPTED", None), "it may be forgotten already"
    login.wait_until_forgotten(job)
    shown = login.mimctl("status", run)
    assert re.search(r"^state +stopped, resumable$", shown.stdout, re.MULTILINE)
    assert f"resumable: `mimctl resume {run}`" in shown.stderr
    assert login.mimctl("resume", run, "--detach").returncode == 0
    again = login.wait(run, lambda each: each["state"] == "running")
    assert again["job_id"] != job
    goes_on(login, run)
    login.mimctl("cancel", run)


@pytest.mark.slow
def test_a_job_that_is_cancelled_with_notice_queues_itself_again(login: Login) -> None:
    def grace(seconds: int) -> None:
        argv = ["scontrol", "update", "PartitionName=gone", f"GraceTime={seconds}"]
        subprocess.run(argv, env=login.environment, check=True)

    grace(10)
    try:
        run = begun(login, "--partition", "gone")
        job = login.wait(run, has_saved)["job_id"]
        login.take_nodes()
        wait_until(lambda: "Restarts=1" in login.job_env(job))
        goes_on(login, run)
        assert login.status(run)["job_id"] == job
        login.mimctl("cancel", run)
    finally:
        grace(0)


def test_a_job_that_may_not_be_requeued_stops_and_says_how_to_go_on(login: Login) -> None:
    run = begun(login, "--sbatch-args=--no-requeue")
    job = login.wait(run, has_saved)["job_id"]
    # What Slurm sends before a job's time is up.
    subprocess.run(["scancel", "--signal=USR2", job], env=login.environment, check=True)
    over = login.wait(run, is_over)
    assert (over["state"], over["resumable"]) == ("stopped", True)
    assert f"is not queued again; go on with it: mimctl resume {over['run_dir']}" in login.mimctl("logs", run).stdout
    assert login.status(over["run_dir"])["run_id"] == run


def test_a_job_is_cancelled_while_it_waits(login: Login) -> None:
    argv = login.argv("train", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, "-c", 1, "--sbatch-args=--hold")
    process = subprocess.Popen(
        argv, cwd=login.folder, env=login.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: login.mimctl("status", "last").returncode == 0)
    waits = login.status("last")
    assert (waits["state"], waits["reason"]) == ("waiting", "JobHeldUser")
    assert login.mimctl("cancel", "last").returncode == 0
    _, told = process.communicate(timeout=240)
    assert process.returncode == 143
    assert f"error[job-ended]: job {waits['job_id']} was cancelled" in told
    over = login.status("last")
    assert (over["state"], over["resumable"]) == ("cancelled", False)
    login.wait_until_forgotten(waits["job_id"])
    assert login.status("last")["state"] == "cancelled"
    assert "error[not-running]" in login.mimctl("cancel", "last").stderr


@pytest.mark.slow
def test_a_controller_that_goes_for_a_while_is_waited_for(login: Login) -> None:
    waits = f"custom_hooks=[dict(type='Trouble', kind='until', at=20, folder='{login.folder}')]"
    more = ("-c", 1, "--work-dir", "runs", "--cfg-options", waits)
    argv = login.argv("train", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, *more)
    process = subprocess.Popen(
        argv, cwd=login.folder, env=login.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (login.folder / "waiting").exists())
    with no_controller(login.environment):
        began = time.monotonic()
        unknown = login.status("last")
        assert time.monotonic() - began < 30
        assert (unknown["state"], unknown["resumable"]) == ("unknown", False)
        assert "Slurm" in unknown["note"]
        assert "error[still-running]" in login.mimctl("resume", "last").stderr
        assert "error[slurm-refused]" in login.mimctl("cancel", "last").stderr
        refused = login.train("--gpus", 0, "--work-dir", "other")
        assert refused.returncode == 1
        assert "error[slurm-refused]" in refused.stderr
        assert "scontrol ping" in refused.stderr
        (login.folder / "go").touch()  # the controller does not see how the job ends
        wait_until(lambda: list(login.folder.glob("runs/*/exit_code")))
    _, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert "the job goes on, and is asked for again" in told
    assert login.status("runs")["state"] == "done"


def family(pid: int) -> list[int]:
    below = [int(word) for each in Path(f"/proc/{pid}/task").glob("*/children") for word in each.read_text().split()]
    return [pid, *(one for child in below for one in family(child))]


@pytest.mark.slow
def test_a_job_whose_node_dies_goes_on_at_another_node(login: Login) -> None:
    run = begun(login)
    state = login.wait(run, has_saved)
    folder = Path(login.environment["SLURM_CONF"]).parent
    steps = subprocess.run(["pgrep", "-f", f"slurmstepd: .{state['job_id']}[.]"], capture_output=True, text=True)
    for pid in [one for step in steps.stdout.split() for one in family(int(step))]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.kill(daemon(login, f"slurmd-{state['nodes']}"), signal.SIGKILL)
    try:
        again = login.wait(run, lambda each: each["nodes"] not in ("", state["nodes"]) and has_saved(each), 240)
        assert (again["job_id"], again["resumable"]) == (state["job_id"], False)
        goes_on(login, run)
    finally:
        login.mimctl("cancel", run)
        line = f"mount --bind {folder}/hosts /etc/hosts && exec slurmd -N {state['nodes']}"
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", line], env=login.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip


@pytest.fixture
def small(login: Login) -> Iterator[Path]:
    folder = Path(login.environment["SLURM_CONF"]).parent / SMALL
    if not os.path.ismount(folder):
        pytest.skip("nothing can be mounted here")
    yield folder
    for each in folder.iterdir():
        subprocess.run(["rm", "-rf", each], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 4096)
    return path


def test_a_full_disk_is_told_before_anything_is_submitted(login: Login, small: Path) -> None:
    fill(small)
    done = login.train("--gpus", 0, "--work-dir", small / "run")
    assert done.returncode == 1
    assert "error[disk-full]" in done.stderr
    assert "--work-dir" in done.stderr
    assert login.mimctl("status", "--json").stdout.count("run_id") == 0


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_job_with_the_reason(login: Login, small: Path) -> None:
    argv = login.argv(
        "train", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, "-c", 1, "--work-dir", small / "run"
    )
    process = subprocess.Popen(
        [*argv, *LONG],
        cwd=login.folder,
        env=login.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (small / "run/last_checkpoint").exists())
    fill(small)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "error[disk-full]" in told
    assert "Traceback" not in told


def test_a_folder_that_the_node_may_not_write_to_is_named(login: Login, small: Path) -> None:
    for name in ("n1", "n2"):
        argv = ["nsenter", "-t", str(daemon(login, f"slurmd-{name}")), "-m", "mount", "-o", "remount,bind,ro", small]
        subprocess.run(argv, check=True)
    try:
        done = login.train("--gpus", 0, "--work-dir", small / "run")
    finally:
        for name in ("n1", "n2"):
            argv = [
                "nsenter",
                "-t",
                str(daemon(login, f"slurmd-{name}")),
                "-m",
                "mount",
                "-o",
                "remount,bind,rw",
                small,
            ]
            subprocess.run(argv, check=True)
    assert done.returncode == 1
    assert "error[no-output]" in done.stderr
    assert f"nothing came to `{small}/run/" in done.stderr
    assert login.status("last")["state"] == "failed"
