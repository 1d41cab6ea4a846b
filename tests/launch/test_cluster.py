"""What `sinfo` and `scontrol` print about a cluster, read as they print it; commands that print what sites have."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimctl.errors import MimctlError
from mimctl.launch.slurm.cluster import cluster_name, node_kinds

SINFO = """\
gpu*|6|64|512000|gpu:a100:4(S:0-1)|g[1-6]
gpu*|2|128+|1031000+|gpu:h100:8(S:0-1),gpu:h100_1g.10gb:7,lustre:1|h[1-2]
cpu|40|48|192000|(null)|c[01-40]
a line of the site's own
"""
CONFIG = "Configuration data as of 2026-11-21T10:00:00\nClusterName             = alps\nMpiDefault = none\n"


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which Slurm's commands print what a site has."""
    for name, text in {"sinfo": SINFO, "scontrol": CONFIG}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def test_nodes_of_partitions_are_told_apart_by_what_they_have(commands):
    kinds = node_kinds(environ=commands)
    assert [(each.partition, each.is_default, each.count, each.cpus, each.gpus, each.names) for each in kinds] == [
        ("gpu", True, 6, 64, 4, "g[1-6]"),
        ("gpu", True, 2, 128, 15, "h[1-2]"),
        ("cpu", False, 40, 48, 0, "c[01-40]"),
    ]
    assert [str(each) for each in kinds] == [
        "64 CPUs, 512000 MiB, gpu:a100:4",
        "128 CPUs, 1031000 MiB, gpu:h100:8, gpu:h100_1g.10gb:7, lustre:1",
        "48 CPUs, 192000 MiB, no GPU",
    ]


def test_a_cluster_is_the_one_that_jobs_go_to(commands):
    assert cluster_name(commands) == "alps"
    assert cluster_name({**commands, "SLURM_CLUSTERS": "all"}) == "alps"
    assert cluster_name({**commands, "SLURM_CLUSTERS": "eiger,alps"}) == "eiger"


def test_a_machine_without_slurm_says_so(tmp_path):
    with pytest.raises(MimctlError) as caught:
        cluster_name({"PATH": str(tmp_path)})
    assert caught.value.code == "slurm-missing"
