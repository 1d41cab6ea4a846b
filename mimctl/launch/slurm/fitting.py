"""Whether a job can run on the nodes of a partition at all: what it wants against what they have (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from mimctl.errors import UsageError, counted, did_you_mean, nearest
from mimctl.launch.slurm.arguments import Argument, value_of
from mimctl.launch.slurm.cluster import NodeKind
from mimctl.spec import LauncherFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a job wants of each of its nodes, and of how many."""

    nodes: int
    procs: int
    """Processes of one node."""
    cpus_per_task: int
    gpus: dict[str, int] = field(default_factory=dict)
    """GPUs of one node by type; "" is any."""

    @property
    def cpus(self) -> int:
        """Return how many CPUs of a node are wanted."""
        return self.procs * self.cpus_per_task


def find_kinds(kinds: Sequence[NodeKind], partition: str | None) -> dict[str, list[NodeKind]]:
    """Return what the nodes of the partitions that a job may go to have: those named (`a,b`), else the default one.

    Without Slurm at hand, which a dry run does not need, that is nothing. Raises UsageError[unknown-partition] with the
    nearest names.
    """
    known: dict[str, list[NodeKind]] = {}
    for each in kinds:
        known.setdefault(each.partition, []).append(each)
    if partition is None or not known:
        return {name: found for name, found in known.items() if found[0].is_default}
    named = partition.split(",")
    for name in named:
        if name not in known:
            raise UsageError(
                f"this cluster has no partition `{name}`",
                code="unknown-partition",
                causes=[f"it has {', '.join(f'`{each}`' for each in known)}"],
                hints=did_you_mean(nearest(name, set(known))) or ["name one of them: `--partition NAME`"],
            )
    return {name: known[name] for name in named}


def most_gpus(chosen: dict[str, list[NodeKind]]) -> int | None:
    """Return how many GPUs the best node of the chosen partitions has; None where no partition is known."""
    return max((each.gpus for found in chosen.values() for each in found), default=None)


def of_node(arguments: Sequence[Argument]) -> dict[str, int] | None:
    """Return the GPUs of one node, by type, that typed arguments name as such; None where they do not."""
    if (text := value_of(arguments, "gpus-per-node")) is not None:
        return _by_type(text.split(","))
    of_gres = [each.partition(":")[2] for each in (value_of(arguments, "gres") or "").split(",") if is_gpu(each)]
    return _by_type(of_gres) if of_gres else None


def gpus_of(arguments: Sequence[Argument], facts: LauncherFacts) -> dict[str, int] | None:
    """Return the GPUs of one node, by type, that typed arguments ask for in any way; None where they ask for none.

    A task is a rank, or with `--elastic` the agent of a node.
    """
    if (text := value_of(arguments, "gpus-per-task")) is not None:
        num_tasks = 1 if facts.is_elastic else facts.num_procs
        return {kind: count * num_tasks for kind, count in _by_type(text.split(",")).items()}
    if (text := value_of(arguments, "gpus")) is not None:
        return {kind: ceil(count / facts.num_nodes) for kind, count in _by_type(text.split(",")).items()}
    return of_node(arguments)


def is_gpu(resource: str) -> bool:
    """Return whether a generic resource (`gpu:a100:4`, `gres:gpu`, `lustre:1`) is a GPU."""
    return resource.removeprefix("gres:").partition(":")[0] == "gpu"


def require_room(chosen: dict[str, list[NodeKind]], wish: Wish) -> None:
    """Raise UsageError[partition-too-small] where none of the partitions has nodes for what is wanted."""
    errors = [_why_not(name, kinds, wish) for name, kinds in chosen.items()]
    if errors and all(each is not None for each in errors):
        raise next(each for each in errors if each is not None)


def _why_not(partition: str, kinds: Sequence[NodeKind], wish: Wish) -> UsageError | None:
    have = [f"`{each.names}` ({counted(each.count, 'node')}): {each}" for each in kinds]
    with_gpus = [each for each in kinds if all(_gpus_of(each, kind) >= count for kind, count in wish.gpus.items())]
    if not with_gpus:
        most = max(each.gpus for each in kinds)
        hint = f"spread them: `--gpus-per-node {most}`" if most else "train on the CPU: `--gpus 0`"
        wanted = ", ".join(map(_described, wish.gpus.items()))
        return _too_small(f"no node of partition `{partition}` has {wanted}", have, "" if any(wish.gpus) else hint)
    fits = [each for each in with_gpus if each.cpus >= wish.cpus]
    if not fits:
        return _too_small(
            f"no node of partition `{partition}` has {wish.cpus} CPUs",
            have,
            f"{wish.procs} times `--cpus-per-task {wish.cpus_per_task}`: take fewer, or more nodes: `--nodes`",
        )
    count = sum(each.count for each in fits)
    if count < wish.nodes:
        return _too_small(
            f"partition `{partition}` has {counted(count, 'node')} for this job, {wish.nodes} are wanted",
            have,
            "ask for fewer, or for more of each: `--gpus`, `--gpus-per-node`, `--nodes`",
        )
    return None


def _too_small(message: str, have: list[str], hint: str) -> UsageError:
    hints = [each for each in (hint, "another one: `--partition NAME`") if each]
    return UsageError(message, code="partition-too-small", causes=have, hints=hints)


def _described(wanted: tuple[str, int]) -> str:
    kind, count = wanted
    return counted(count, f"{kind} GPU" if kind else "GPU")


def _gpus_of(node: NodeKind, kind: str) -> int:
    if not kind:
        return node.gpus
    return sum(_by_type([each.partition(":")[2]]).get(kind, 0) for each in node.gres if is_gpu(each))


def _by_type(texts: Sequence[str]) -> dict[str, int]:
    """Return `a100:4`, `4`, `a100` and `` as counts by type."""
    found: dict[str, int] = {}
    for text in texts:
        kind, _, count = text.rpartition(":")
        if not count.isdecimal():
            kind, count = text, "1"
        found[kind] = found.get(kind, 0) + int(count)
    return found
