"""From counts to a launcher, from a request to argv and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimctl.errors import UsageError
from mimctl.launch.model import LaunchPlan, RunRequest
from mimctl.launch.plan import choose_launcher, make_plan
from mimctl.spec import LauncherFacts, RunSpec


@pytest.mark.parametrize(
    ("asked", "kind", "device", "procs", "nodes"),
    [
        ({}, "none", "cpu", 1, 1),
        ({"visible_gpus": 4}, "none", "cuda", 1, 1),
        ({"gpus": 0, "visible_gpus": 4}, "none", "cpu", 1, 1),
        ({"gpus": 2, "visible_gpus": 4}, "pytorch", "cuda", 2, 1),
        ({"gpus": 1, "visible_gpus": 4, "kind": "pytorch"}, "pytorch", "cuda", 1, 1),
        ({"procs": 3, "visible_gpus": 4}, "pytorch", "cpu", 3, 1),
        ({"kind": "slurm"}, "slurm", "cuda", 1, 1),
        ({"kind": "slurm", "gpus": 16}, "slurm", "cuda", 8, 2),
        ({"kind": "slurm", "gpus": 8, "gpus_per_node": 2}, "slurm", "cuda", 2, 4),
        ({"kind": "slurm", "gpus": 8, "most_gpus_per_node": 4}, "slurm", "cuda", 4, 2),
        ({"kind": "slurm", "gpus": 16, "most_gpus_per_node": 16}, "slurm", "cuda", 16, 1),
        ({"kind": "slurm", "gpus": 0}, "slurm", "cpu", 1, 1),
        ({"kind": "slurm", "gpus_per_node": 0}, "slurm", "cpu", 1, 1),
        ({"kind": "slurm", "gpus": 0, "procs": 4, "gpus_per_node": 0}, "slurm", "cpu", 4, 1),
    ],
)
def test_the_launcher_follows_from_what_was_asked_and_what_is_there(asked, kind, device, procs, nodes):
    arguments = {"kind": None, "gpus": None, **asked}
    expected = LauncherFacts(kind=kind, device=device, num_procs=procs, num_nodes=nodes)
    assert choose_launcher(**arguments) == expected


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"gpus": 2, "visible_gpus": 1}, "more GPUs than this machine shows"),
        ({"gpus": 2, "procs": 3, "visible_gpus": 2}, "contradict each other"),
        ({"gpus": 2, "gpus_per_node": 0, "kind": "slurm"}, "contradict each other"),
        ({"gpus": 6, "kind": "slurm", "most_gpus_per_node": 4}, "does not divide into nodes"),
        ({"gpus": 2, "kind": "none", "visible_gpus": 2}, "starts one process"),
        ({"gpus": 9, "kind": "slurm", "gpus_per_node": 4}, "does not divide into nodes"),
    ],
)
def test_counts_that_cannot_be_are_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        choose_launcher(**{"kind": None, "gpus": None, **asked})


def request(tmp_path: Path, **changes) -> RunRequest:
    values = {
        "action": "train",
        "plugin": "det",
        "package": "mimctl_det",
        "entry": "mimctl.engine.actions:train",
        "python": Path("/env/bin/python"),
        "run_dir": tmp_path / "a run",
        "config": tmp_path / "net.py",
        "work_dir": tmp_path,
        **changes,
    }
    return RunRequest(**values)


def test_one_process_is_the_child_several_are_the_agent(tmp_path):
    one = make_plan(request(tmp_path))
    spec_path = str(tmp_path / "a run" / "spec.json")
    assert one.argv == ("/env/bin/python", "-P", "-m", "mimctl.engine.child", spec_path)
    many = make_plan(request(tmp_path, launcher=LauncherFacts(kind="pytorch", device="cuda", num_procs=2)))
    assert many.argv == ("/env/bin/python", "-P", "-m", "mimctl.engine.agent", spec_path)
    assert (one.environment, many.environment) == ({"CUDA_VISIBLE_DEVICES": ""}, {})
    assert "RANK" in one.unset


def test_the_plan_writes_nothing_and_its_spec_reads_back(tmp_path):
    plan = make_plan(request(tmp_path, overrides={"a.b": [1, 2]}, seed=3, port=29501, options={"out": "x"}))
    assert isinstance(plan, LaunchPlan)
    assert list(tmp_path.iterdir()) == []
    assert RunSpec.from_json(plan.spec.to_json()) == plan.spec
    assert (plan.spec.options, plan.spec.seed) == ({"out": "x", "port": 29501}, 3)
