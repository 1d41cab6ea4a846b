"""What jobs of a cluster ask for where nothing is typed: `[clusters.NAME]` of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mimctl.settings.values import Key, read_duration, read_lines, read_number, read_text, read_words


class ClusterDefaults(NamedTuple):
    """What is set for one cluster; None, or nothing, where a key is not set."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    setup: tuple[str, ...] = ()
    container: str | None = None
    sbatch_args: str | None = None
    srun_args: str | None = None

    def named(self) -> dict[str, Any]:
        """Return what is set."""
        return {name: value for name, value in self._asdict().items() if value not in (None, ())}


CLUSTER_KEYS: Mapping[str, Key] = {
    "partition": Key(read=read_text, meaning="partition of the cluster", is_harmless=True),
    "account": Key(read=read_text, meaning="account that jobs are charged to", is_harmless=True),
    "qos": Key(read=read_text, meaning="quality of service", is_harmless=True),
    "time": Key(read=read_duration, meaning="how long a job may take: 90, 12:00:00, 2-00", is_harmless=True),
    "gpus_per_node": Key(
        read=read_number(int, 1), meaning="how many GPUs of a node a job takes at most", is_harmless=True
    ),
    "cpus_per_task": Key(read=read_number(int, 1), meaning="CPUs of one process", is_harmless=True),
    "setup": Key(read=read_lines, meaning="lines of shell that a job runs before its ranks start", many=True),
    "container": Key(read=read_words, meaning="what each rank is started through"),
    "sbatch_args": Key(read=read_words, meaning="more arguments for sbatch, quoted as one"),
    "srun_args": Key(read=read_words, meaning="more arguments for srun, quoted as one"),
}


def read_clusters(value: Any, _folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tables of clusters as they stand; their values are read one by one."""
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise ValueError("wants tables `[clusters.NAME]`")
    return value


def defaults_of(clusters: Mapping[str, ClusterDefaults], name: str) -> ClusterDefaults:
    """Return what is set for the cluster of this name, nothing where it is not there.

    Slurm does not tell names of clusters apart by their case.
    """
    return next((each for key, each in clusters.items() if key.lower() == name.lower()), ClusterDefaults())


def flat(clusters: Mapping[str, ClusterDefaults]) -> dict[str, Any]:
    """Return what is set for all clusters: `clusters.NAME.KEY` → value."""
    return {f"clusters.{name}.{key}": value for name, each in clusters.items() for key, value in each.named().items()}
