"""A sweep as one array of jobs."""

from __future__ import annotations

import json
import subprocess

from login_node import Login


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
