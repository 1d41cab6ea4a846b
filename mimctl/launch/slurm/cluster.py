"""What a cluster is: its name, its partitions, what their nodes have; asked of Slurm, text read as it prints it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mimctl.launch.slurm.client import call


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """Nodes of one partition that have the same."""

    partition: str
    is_default: bool
    """Whether jobs go there that name no partition."""
    count: int
    cpus: int
    """Of one node."""
    memory_mib: int
    gres: tuple[str, ...]
    """Generic resources in Slurm's words: `gpu:4`, `gpu:a100:8`."""
    names: str
    """In Slurm's short form: `n[1-2]`."""

    @property
    def gpus(self) -> int:
        """Return how many GPUs one node has, of whatever type."""
        return sum(_count(each) for each in self.gres if each.split(":")[0] == "gpu")

    def __str__(self) -> str:
        return ", ".join((f"{self.cpus} CPUs", f"{self.memory_mib} MiB", *(self.gres or ("no GPU",))))


def cluster_name(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of the cluster that jobs go to: what `SLURM_CLUSTERS` says, else what Slurm's settings say.

    Raises MimctlError[slurm-missing], [slurm-refused].
    """
    named = (os.environ if environ is None else environ).get("SLURM_CLUSTERS", "").partition(",")[0].strip()
    if named and named != "all":
        return named
    found = re.search(r"^ClusterName\s*=\s*(\S+)", call(["scontrol", "show", "config"], environ=environ), re.MULTILINE)
    return found[1] if found else "cluster"


def node_kinds(*, environ: Mapping[str, str] | None = None) -> tuple[NodeKind, ...]:
    """Return what the nodes of each partition have, hidden ones too.

    Raises MimctlError[slurm-missing], [slurm-refused].
    """
    said = call(["sinfo", "-h", "--all", "--exact", "-o", "%P|%D|%c|%m|%G|%N"], environ=environ)
    return tuple(kind for kind in map(_kind, said.splitlines()) if kind is not None)


def _kind(line: str) -> NodeKind | None:
    parts = line.split("|")
    if len(parts) != 6:
        return None
    partition, count, cpus, memory, gres, names = (each.strip() for each in parts)
    return NodeKind(
        partition=partition.removesuffix("*"),
        is_default=partition.endswith("*"),
        # `64+` where nodes differ.
        count=_number(count),
        cpus=_number(cpus),
        memory_mib=_number(memory),
        gres=tuple(_without_places(gres)),
        names=names,
    )


def _without_places(text: str) -> list[str]:
    """Return the resources without where they sit: `gpu:a100:4(S:0-1),gpu:1(IDX:3)` → `gpu:a100:4`, `gpu:1`."""
    bare = re.sub(r"\([^)]*\)", "", text)
    return [each for each in bare.split(",") if each and each != "null"]


def _count(resource: str) -> int:
    last = resource.rpartition(":")[2]
    return _number(last) if last[:1].isdecimal() else 1


def _number(text: str) -> int:
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0
