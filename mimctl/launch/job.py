"""What a run asks for: how many processes, where, and what Slurm is told, held against what the cluster has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.model import LaunchOptions, SlurmOptions
from mimctl.launch.place import Workplace
from mimctl.launch.plan import MAX_GPUS_PER_NODE, choose_launcher
from mimctl.launch.slurm.arguments import argument_of, value_of
from mimctl.launch.slurm.asking import ask_for
from mimctl.launch.slurm.cluster import NodeKind, cluster_name, node_kinds
from mimctl.launch.slurm.fitting import Wish, find_kinds, gpus_of, most_gpus, of_node, require_room
from mimctl.launch.slurm.nodes.require import require_fit
from mimctl.settings.clusters import ClusterDefaults, defaults_of
from mimctl.spec import LauncherFacts


def job_of(launch: LaunchOptions, place: Workplace, *, job_name: str) -> tuple[LauncherFacts, SlurmOptions]:
    """Return who runs where, and what Slurm is told; `job_name` is used where none is typed.

    Raises UsageError where counts contradict each other, words have an open quote or set-up lines are no shell,
    [unknown-partition], [partition-too-small], MimctlError[slurm-refused] where the controller does not answer,
    NoCompatibleBuildError[unfit-partition] where the environment cannot work there by what is known.
    """
    if launch.launcher != "slurm":
        return choose(launch, place), SlurmOptions(job_name=launch.job_name or job_name)
    defaults = _defaults(place)
    slurm = ask_for(launch, defaults, os.environ, job_name=job_name)
    _require_shell(slurm.setup)
    chosen = find_kinds(_kinds(), slurm.partition)
    facts = _count(launch, place, slurm, defaults, most_gpus(chosen))
    require_room(chosen, _wish(facts, slurm))
    require_fit(facts, slurm, tuple(chosen), place)
    return facts, slurm


def require_fit_again(facts: LauncherFacts, arguments: Sequence[str], place: Workplace) -> None:
    """Raise where a job that sbatch was told these `arguments` of can no longer work on its partition.

    UsageError[unknown-partition], MimctlError[slurm-refused], NoCompatibleBuildError[unfit-partition].
    """
    slurm = SlurmOptions(partition=value_of([argument_of(each) for each in arguments], "partition"))
    require_fit(facts, slurm, tuple(find_kinds(_kinds(), slurm.partition)), place)


def _count(
    launch: LaunchOptions, place: Workplace, slurm: SlurmOptions, defaults: ClusterDefaults, most: int | None
) -> LauncherFacts:
    """Return who runs where; `most` is how many GPUs the best node has, None where that is not known."""
    if launch.gpus is None and launch.procs is None and not launch.gpus_per_node and most == 0:
        _tell(place, "nodes of this partition have no GPU: the CPU it is")
        launch = replace(launch, gpus=0)
    asked = [argument_of(each) for each in slurm.sbatch_args]
    # The type of GPU that is wanted is typed with their number: `--gres=gpu:a100:2`.
    typed = sum((of_node(asked) or {}).values())
    limits = [each for each in (most, defaults.gpus_per_node) if each]
    facts = choose(launch, place, most_gpus_per_node=typed or min(limits, default=MAX_GPUS_PER_NODE))
    given = gpus_of(asked, facts)
    if given is not None and facts.device == "cuda" and sum(given.values()) < facts.num_procs:
        raise UsageError(
            f"{facts.num_procs} processes of a node want a GPU each, `--sbatch-args` gives it {sum(given.values())}",
            hints=[f"`--gpus-per-node {sum(given.values())}`"],
        )
    return facts


def choose(launch: LaunchOptions, place: Workplace, *, most_gpus_per_node: int = MAX_GPUS_PER_NODE) -> LauncherFacts:
    """Return who runs where, without a look at the cluster; raises what `choose_launcher` raises."""
    return choose_launcher(
        kind=launch.launcher,
        gpus=launch.gpus,
        procs=launch.procs,
        gpus_per_node=launch.gpus_per_node,
        nodes=launch.nodes,
        node_rank=launch.node_rank,
        rdzv_endpoint=launch.rdzv_endpoint,
        port=launch.port,
        max_restarts=launch.max_restarts,
        elastic=launch.elastic,
        visible_gpus=place.visible_gpus,
        most_gpus_per_node=most_gpus_per_node,
    )


def _wish(facts: LauncherFacts, slurm: SlurmOptions) -> Wish:
    typed = gpus_of([argument_of(each) for each in slurm.sbatch_args], facts)
    ours = {"": facts.num_procs} if facts.device == "cuda" else {}
    return Wish(
        nodes=facts.num_nodes,
        procs=facts.num_procs,
        cpus_per_task=slurm.cpus_per_task,
        gpus=ours if typed is None else typed,
    )


def _defaults(place: Workplace) -> ClusterDefaults:
    """Return what is set for the cluster that jobs go to; Slurm is asked for its name only where something is set."""
    if not place.clusters:
        return ClusterDefaults()
    try:
        name = cluster_name()
    except MimctlError as err:
        if err.code != "slurm-missing":
            raise
        _tell(place, "there is no Slurm here: what is set for clusters is left out")
        return ClusterDefaults()
    found = defaults_of(place.clusters, name)
    if named := found.named():
        _tell(place, f"set for cluster `{name}`: {', '.join(named)}")
    return found


def _kinds() -> Sequence[NodeKind]:
    """Return what nodes there are; none where Slurm is not here, whose script may be wanted all the same."""
    if "," in os.environ.get("SLURM_CLUSTERS", ""):
        return ()
    try:
        return node_kinds()
    except MimctlError as err:
        if err.code != "slurm-missing":
            raise
        return ()


def _require_shell(lines: Sequence[str]) -> None:
    """Raise UsageError for lines that bash cannot read: an open quote would swallow the rest of the script."""
    for line in lines:
        try:
            read = subprocess.run(["bash", "-n"], input=line + "\n", capture_output=True, text=True, timeout=10)
        except FileNotFoundError:
            return
        if read.returncode != 0:
            raise UsageError(f"`--setup {line}` is no shell", causes=read.stderr.strip().splitlines()[-2:])


def _tell(place: Workplace, text: str) -> None:
    if place.note is not None:
        place.note(text)
