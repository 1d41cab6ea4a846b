"""What a run asks for where the cluster's commands answer as sites' do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.job import job_of
from mimctl.launch.model import LaunchOptions
from mimctl.launch.place import Workplace
from mimctl.settings.clusters import ClusterDefaults

SINFO = """\
gpu*|6|64|512000|gpu:a100:4(S:0-1)|g[1-6]
big|2|128|1031000|gpu:h100:16|h[1-2]
cpu|40|48|192000|(null)|c[01-40]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Workplace:
    """Return a workplace on the login node of a cluster called `alps`; notes are kept in its `told`."""
    commands = {"sinfo": SINFO, "scontrol": "ClusterName             = alps\n"}
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("SLURM_CLUSTERS", "SBATCH_PARTITION", "SBATCH_ACCOUNT", "SBATCH_QOS"):
        monkeypatch.delenv(name, raising=False)
    return Workplace(python=Path("/env/bin/python"), source="--python", paths=(), plugins=())


def counts(place: Workplace, **typed) -> tuple[str, int, int]:
    facts, _ = job_of(LaunchOptions(launcher="slurm", **typed), place, job_name="x")
    return facts.device, facts.num_procs, facts.num_nodes


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({}, ("cuda", 1, 1)),
        ({"gpus": 8}, ("cuda", 4, 2)),
        ({"gpus": 16, "partition": "big"}, ("cuda", 16, 1)),
        ({"gpus": 16, "partition": "big", "gpus_per_node": 8}, ("cuda", 8, 2)),
        ({"gpus": 4, "sbatch_args": "--gres=gpu:a100:2"}, ("cuda", 2, 2)),
        ({"partition": "cpu"}, ("cpu", 1, 1)),
        ({"partition": "cpu", "procs": 24}, ("cpu", 24, 1)),
    ],
)
def test_counts_follow_from_what_the_nodes_have(place, typed, expected):
    assert counts(place, **typed) == expected


def test_a_cluster_may_be_told_to_take_fewer_gpus_of_a_node(place):
    limited = Workplace(
        python=place.python,
        source="",
        paths=(),
        plugins=(),
        clusters={"Alps": ClusterDefaults(gpus_per_node=2, partition="big")},
    )
    assert counts(limited, gpus=4) == ("cuda", 2, 2)
    assert counts(limited, gpus=4, gpus_per_node=4) == ("cuda", 4, 1)
    assert counts(limited, gpus=1) == ("cuda", 1, 1)


def test_gpus_typed_for_a_node_have_to_be_enough_for_its_processes(place):
    with pytest.raises(UsageError, match="4 processes of a node want a GPU each, `--sbatch-args` gives it 2"):
        counts(place, gpus=4, gpus_per_node=4, sbatch_args="--gres=gpu:a100:2")
    with pytest.raises(UsageError, match="no node of partition `gpu` has 4 h100 GPUs"):
        counts(place, gpus=4, sbatch_args="--gres=gpu:h100:4")


def test_gpus_typed_for_a_task_are_those_of_a_rank_or_of_a_nodes_agent(place):
    assert counts(place, gpus=4, sbatch_args="--gpus-per-task=1") == ("cuda", 4, 1)
    assert counts(place, gpus=4, elastic=True, sbatch_args="--gpus-per-task=4") == ("cuda", 4, 1)
    with pytest.raises(UsageError, match="4 processes of a node want a GPU each, `--sbatch-args` gives it 1"):
        counts(place, gpus=4, elastic=True, sbatch_args="--gpus-per-task=1")


def test_a_machine_without_slurm_can_still_show_the_script(place, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    told: list[str] = []
    elsewhere = Workplace(
        python=place.python,
        source="",
        paths=(),
        plugins=(),
        clusters={"alps": ClusterDefaults(partition="gpu")},
        note=told.append,
    )
    assert counts(elsewhere, gpus=16) == ("cuda", 8, 2)
    assert told == ["there is no Slurm here: what is set for clusters is left out"]


def test_a_controller_that_does_not_answer_ends_it(place, tmp_path):
    (tmp_path / "sinfo").write_text(
        "#!/bin/sh\necho 'slurm_load_partitions: Unable to contact slurm controller' >&2\nexit 1\n"
    )
    with pytest.raises(MimctlError) as caught:
        counts(place)
    assert caught.value.code == "slurm-refused"
    assert "Unable to contact slurm controller" in caught.value.causes[0]
