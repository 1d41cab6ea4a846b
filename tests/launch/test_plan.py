"""From counts to a launcher, from a request to argv and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimctl.errors import UsageError
from mimctl.launch.model import LaunchPlan, RunRequest
from mimctl.launch.plan import choose_launcher, make_plan
from mimctl.launch.prepare import new_run_dir
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
    ("asked", "kind", "device", "procs"),
    [
        ({}, "pytorch", "cpu", 1),
        ({"visible_gpus": 4}, "pytorch", "cuda", 1),
        ({"gpus": 8, "visible_gpus": 4}, "pytorch", "cuda", 4),
        ({"gpus_per_node": 2, "visible_gpus": 4}, "pytorch", "cuda", 2),
        ({"gpus": 4, "gpus_per_node": 2, "visible_gpus": 2}, "pytorch", "cuda", 2),
        ({"gpus": 0, "procs": 4, "kind": "pytorch", "visible_gpus": 4}, "pytorch", "cpu", 2),
    ],
)
def test_counts_are_those_of_all_nodes(asked, kind, device, procs):
    place = {"nodes": 2, "node_rank": 1, "rdzv_endpoint": "head:29400"}
    facts = choose_launcher(**{"kind": None, "gpus": None, **place, **asked})
    assert (facts.kind, facts.device, facts.num_procs, facts.num_nodes) == (kind, device, procs, 2)
    assert (facts.node_rank, facts.rdzv_endpoint) == (1, "head:29400")


def test_one_of_one_node_is_the_machine_alone():
    facts = choose_launcher(kind=None, gpus=0, procs=2, nodes=1, node_rank=0, rdzv_endpoint="head:29400")
    assert facts == LauncherFacts(kind="pytorch", num_procs=2)


def test_restarts_want_an_agent():
    assert choose_launcher(kind=None, gpus=0, max_restarts=2) == LauncherFacts(kind="pytorch", max_restarts=2)
    facts = choose_launcher(kind="slurm", gpus=8, gpus_per_node=4, elastic=True, max_restarts=1)
    assert (facts.num_procs, facts.num_nodes, facts.is_elastic, facts.max_restarts) == (4, 2, True, 1)


SEVERAL = {"nodes": 2, "node_rank": 0, "rdzv_endpoint": "head:29400"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"nodes": 2}, "wants `--node-rank` and `--rdzv-endpoint` too"),
        ({"nodes": 2, "node_rank": 0}, "wants `--rdzv-endpoint` too"),
        ({"node_rank": 1}, "is for several nodes"),
        ({"rdzv_endpoint": "head:29400"}, "is for several nodes"),
        ({**SEVERAL, "node_rank": 2}, "is none of 2 nodes"),
        ({**SEVERAL, "port": 29500}, "not in `--port`"),
        ({**SEVERAL, "kind": "none"}, "starts one process, 2 were asked for"),
        ({**SEVERAL, "procs": 3}, "do not fit `--nnodes 2`"),
        ({**SEVERAL, "gpus": 4, "gpus_per_node": 4, "visible_gpus": 4}, "are not `--gpus-per-node 4`"),
        ({**SEVERAL, "gpus": 4, "visible_gpus": 1}, "2 GPUs of each of 2 nodes are more"),
        ({"gpus": 4, "gpus_per_node": 2, "visible_gpus": 4}, "are not `--gpus-per-node 2`"),
        ({**SEVERAL, "kind": "slurm"}, "Slurm knows which node is which"),
        ({"kind": "slurm", "gpus": 2, "max_restarts": 1}, "an agent on each node"),
        ({"elastic": True}, "is for Slurm"),
        ({"kind": "none", "max_restarts": 1}, "starts nothing again"),
        *(({**SEVERAL, "rdzv_endpoint": text}, "HOST:PORT") for text in ("head", ":29400", "fd00::1:29400", "a b:1")),
        *(({**SEVERAL, "rdzv_endpoint": text}, "no port") for text in ("head:", "head:x", "head:0", "head:65536")),
    ],
)
def test_places_and_options_that_say_nothing_are_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        choose_launcher(**{"kind": None, "gpus": None, **asked})


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


def test_nodes_that_start_at_one_moment_have_folders_of_their_own(tmp_path):
    assert new_run_dir(tmp_path, node_rank=1).name.endswith("_node1")
    assert "node" not in new_run_dir(tmp_path).name


def test_an_agent_of_slurm_is_one_task_of_its_node(tmp_path):
    facts = LauncherFacts(kind="slurm", device="cuda", num_procs=4, num_nodes=2, is_elastic=True)
    plan = make_plan(request(tmp_path, launcher=facts))
    assert plan.script is not None
    assert {"--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=8", "--gres=gpu:4"} <= set(plan.argv)
    [srun] = [line for line in plan.script.splitlines() if line.startswith("srun")]
    assert "--cpus-per-task=8" in srun
    assert "-m mimctl.engine.agent" in srun
    assert "--kill-on-bad-exit=0" in srun, "an agent that is killed with the first cannot tell what happened"


def test_the_plan_writes_nothing_and_its_spec_reads_back(tmp_path):
    plan = make_plan(request(tmp_path, overrides={"a.b": [1, 2]}, seed=3, port=29501, options={"out": "x"}))
    assert isinstance(plan, LaunchPlan)
    assert list(tmp_path.iterdir()) == []
    assert RunSpec.from_json(plan.spec.to_json()) == plan.spec
    assert (plan.spec.options, plan.spec.seed) == ({"out": "x", "port": 29501}, 3)
