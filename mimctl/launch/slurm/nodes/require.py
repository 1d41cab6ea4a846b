"""Before a job is submitted: what is known of its partition's nodes is held against the environment it would run in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.environment.distributions import scan, wheel_tags
from mimctl.environment.installed import Fact
from mimctl.environment.ops import find_ops
from mimctl.environment.origin import find_origin
from mimctl.environment.torch import find_torch
from mimctl.launch.slurm.cluster import cluster_name
from mimctl.launch.slurm.nodes.known import read_known

if TYPE_CHECKING:
    from mimctl.environment.elsewhere import Elsewhere
    from mimctl.environment.model import Environment
    from mimctl.launch.model import SlurmOptions
    from mimctl.launch.place import Workplace
    from mimctl.spec import LauncherFacts

_WITH_MACHINE_CODE = ("torch", "mimctl-ops")


def require_fit(facts: LauncherFacts, slurm: SlurmOptions, partitions: Sequence[str], place: Workplace) -> None:
    """Raise NoCompatibleBuildError[unfit-partition] where the environment cannot work on the nodes a job would get.

    `partitions` are those that it may go to; one of them has to fit. Nobody looks at a node for it: where nothing is
    known of one and GPUs are asked for, a note says how to look. A container's environment is its own and is not
    compared.
    """
    folder = place.nodes_dir
    gpus = facts.num_procs * facts.num_nodes if facts.device == "cuda" else 0
    if folder is None or slurm.container or not partitions or not (gpus or folder.is_dir()):
        return
    cluster = cluster_name()
    known = {each: read_known(folder, cluster, each) for each in partitions}
    unknown = next((name for name, node in known.items() if node is None), None)
    if unknown is not None:
        if gpus and place.note is not None:
            place.note(_unknown(unknown, place))
        return
    from mimctl.launch.slurm.nodes.judge import judge

    problems = []
    for name, node in known.items():
        assert node is not None
        env, tags = environment_on(node, place)
        problems.append(judge(env, node, partition=name, gpus=gpus, tags=tags))
    if problems[0] is not None and all(problems):
        raise problems[0]


def environment_on(node: Elsewhere, place: Workplace) -> tuple[Environment, dict[str, tuple[str, ...]]]:
    """Return the target's torch and operators, read from their files, on the hardware of a node; and wheels' tags."""
    from mimctl.environment.imagined import imagine

    there = scan(place.paths)
    torch = find_torch(place.paths, there.get("torch"))
    ops = find_ops(place.paths, there.get("mimctl-ops"), os.environ)
    prefix = Path(place.python).parent.parent
    env = replace(
        imagine("3.11", node.platform, node.libc, node.accelerator, source=node.name),
        torch=torch,
        ops=ops,
        gpus=Fact(value=node.gpus, source=node.name),
        torch_origin=find_origin(torch.value, there.get("torch"), prefix=prefix, environ=os.environ),
    )
    found = [each for name in _WITH_MACHINE_CODE if (each := there.get(name)) is not None]
    return env, {f"{each.name} {each.version}": wheel_tags(each) for each in found}


def _unknown(partition: str, place: Workplace) -> str:
    torch = find_torch(place.paths, None).value
    look = f"`mimctl env --partition {partition}` looks at one"
    if torch is not None and torch.backend == "cpu":
        return (
            f"warning: torch {torch.version} computes on the CPU alone, and GPUs are asked for; "
            f"nothing is known of the nodes of partition `{partition}`: {look}"
        )
    return f"nothing is known of the nodes of partition `{partition}`: {look}"
