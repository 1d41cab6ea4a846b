"""A sweep as one array of jobs."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from login_node import TOY, VALIDATION, Login
from patience import wait_until
from sweeping import RANGE, a_good_one_then_a_bad_one, choice, seed_where, told


def test_a_sweep_is_one_array_with_so_many_tasks_at_a_time(login: Login) -> None:
    line = ("sweep", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, "-c", 1, "--max-jobs", 2)
    axes = ("--grid", "optim_wrapper.optimizer.lr=0.05,0.01", "--grid")
    trouble = "custom_hooks=[],[dict(type='Trouble',kind='error',at=3)]"
    done = login.mimctl(*line, *axes, trouble, "--json")
    assert done.returncode == 1, done.stderr
    trials = json.loads(done.stdout)["trials"]
    assert [each["state"] for each in trials] == ["done", "failed", "done", "failed"]
    assert {each["error"]["message"] for each in trials if each["error"]} == {"ValueError: a bug in a hook"}
    array = {each["job_id"].partition("_")[0] for each in trials}
    assert len(array) == 1
    assert [each["job_id"].partition("_")[2] for each in trials] == ["0", "1", "2", "3"]
    told = subprocess.run(
        ["scontrol", "show", "job", array.pop()], env=login.environment, capture_output=True, text=True
    ).stdout
    assert "ArrayTaskThrottle=2" in told
    again = login.mimctl(*line, *axes, trouble, "--json")
    second = json.loads(again.stdout)["trials"]
    assert [second[n]["job_id"] == trials[n]["job_id"] for n in range(4)] == [True, False, True, False]


def test_drawn_trials_are_jobs_that_are_judged_and_looked_after_again(login: Login) -> None:
    pytest.importorskip("optuna", reason="samplers are an extra")
    (login.folder / "toy.py").write_text(TOY + VALIDATION)
    waits = choice("wait")  # for a minute, in its second epoch
    seed = seed_where(a_good_one_then_a_bad_one, waits, trials=3)
    line = ("sweep", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, "-c", 1, "--max-jobs", 1, "--seed", seed)
    drawn = ("--grid", RANGE, "--grid", waits, "--sampler", "asha", "--trials", 3, "--metric", "toy/accuracy")
    process = subprocess.Popen(
        login.argv(*line, *drawn), cwd=login.folder, env=login.environment, stderr=subprocess.PIPE, text=True
    )
    first = login.folder / "sweeps/toy/trials/0000/run/run.json"
    wait_until(lambda: first.exists() and json.loads(first.read_text())["job_id"] is not None)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=240)[1]
    assert (process.returncode, "the jobs go on" in said) == (130, True), said
    job = json.loads(first.read_text())["job_id"]
    done = login.mimctl(*line, *drawn)
    assert done.returncode == 0, done.stderr
    trials = told(login)["trials"]
    assert [each["state"] for each in trials][:2] == ["done", "pruned"]
    assert trials[2]["state"] in ("done", "pruned")
    assert trials[0]["job_id"] == job, "the job that went on is not started again"
    assert len({each["job_id"] for each in trials}) == 3
    assert "CANCELLED" in login.job_env(trials[1]["job_id"])


def test_a_dry_run_shows_the_script_that_is_submitted(login: Login) -> None:
    line = ("sweep", "det", "toy.py", "--launcher", "slurm", "--gpus", 0, "-c", 1, "--grid", "randomness.seed=1,2")
    shown = login.mimctl(*line, "--dry-run").stdout
    assert "#SBATCH --array=0,1%1" in shown
    assert not (login.folder / "sweeps").exists()
    done = login.mimctl(*line, "--sbatch-args", "--hold", "--detach")
    assert done.returncode == 0, done.stderr
    script = login.folder / "sweeps/toy/array.sbatch"
    assert script.read_text().replace("#SBATCH --hold\n", "") == shown
    job = json.loads((login.folder / "sweeps/toy/trials/0000/run/run.json").read_text())["job_id"]
    subprocess.run(["scancel", job.partition("_")[0]], env=login.environment, check=True)
