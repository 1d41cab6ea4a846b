"""Machines that are not this one: a node of a cluster is looked at, and what is installed here is chosen for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import find_target
from mimctl.errors import MimctlError, UsageError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.environment.elsewhere import Elsewhere
    from mimctl.environment.model import Environment
    from mimctl.installer.model import InstallPlan
    from mimctl.launch.slurm.nodes.look import Look


def look_at(
    partition: str,
    *,
    wait_s: int | None = None,
    account: str | None = None,
    qos: str | None = None,
    srun_args: str | None = None,
    settings: Settings | None = None,
) -> Look:
    """Look at one node of a partition through Slurm; what was seen is kept, and runs and installations go by it.

    `wait_s` is how long a node may take to be free (60), `srun_args` more arguments for srun, quoted as one. Raises
    UsageError[unknown-partition], MimctlError[no-free-node | not-on-node | slurm-refused | slurm-missing].
    """
    from mimctl.launch.slurm.arguments import split_words
    from mimctl.launch.slurm.cluster import cluster_name
    from mimctl.launch.slurm.nodes.look import WAIT_S, LookOptions
    from mimctl.launch.slurm.nodes.look import look_at as look
    from mimctl.settings.clusters import defaults_of

    settings = settings or settings_module.load()
    target = find_target(settings)
    defaults = defaults_of(settings.clusters, cluster_name())
    options = LookOptions(
        wait_s=WAIT_S if wait_s is None else wait_s,
        account=account or defaults.account,
        qos=qos or defaults.qos,
        srun_args=split_words("--srun-args", srun_args),
    )
    return look(partition, target.python, folder=nodes_dir(settings), options=options)


def nodes_dir(settings: Settings) -> Path:
    """Return where what was seen of the nodes of clusters is kept."""
    return settings.home / "clusters"


def find_machine(word: str, *, settings: Settings | None = None) -> Elsewhere:
    """Return what is known of the machine that `--for` names: a file of `mimctl env --json`, or a partition.

    Nobody looks at a node for it. Raises MimctlError[nothing-known | bad-facts | slurm-missing | slurm-refused].
    """
    from mimctl.environment.elsewhere import read_elsewhere

    path = Path(word).expanduser()
    if path.is_file():
        return read_elsewhere(path.read_text(encoding="utf-8", errors="replace"), name=f"`{word}`")
    if len(path.parts) > 1 or path.suffix == ".json":
        raise UsageError(f"`--for {word}`: there is no such file", hints=["`mimctl env --json > node.json` writes one"])
    from mimctl.launch.slurm.cluster import cluster_name
    from mimctl.launch.slurm.nodes.known import read_known

    settings = settings or settings_module.load()
    cluster = cluster_name()
    found = read_known(nodes_dir(settings), cluster, word)
    if found is None:
        raise MimctlError(
            f"nothing is known of the nodes of partition `{word}`",
            code="nothing-known",
            causes=[f"none of them was looked at on cluster `{cluster}`"],
            hints=[f"look at one: `mimctl env --partition {word}`"],
        )
    return found


def lock_words(machine: Elsewhere) -> str | None:
    """Return what `lock --for` and `bundle --for` call a machine; None where no torch is chosen for it by itself."""
    from mimctl.environment.imagined import imagine
    from mimctl.installer.locking.cells import cell_of
    from mimctl.installer.locking.environments import accelerator_of

    python = machine.facts["python"].value if "python" in machine.facts else "3.11"
    env = imagine(python, machine.platform, machine.libc, machine.accelerator)
    try:
        return cell_of(env, accelerator_of(env)).words
    except MimctlError:
        return None


def facts_for(machine: str | None, settings: Settings, *, asks_nvcc: bool = False) -> tuple[Environment, str | None]:
    """Return the facts about the target on the machine that is meant, and one line on which that is; None: this one."""
    from mimctl.environment.detect import describe

    found = describe(find_target(settings), environ=os.environ, asks_nvcc=asks_nvcc)
    if machine is None:
        return found, None
    from mimctl.environment.elsewhere import on_machine

    elsewhere = find_machine(machine, settings=settings)
    return on_machine(found, elsewhere), f"chosen for {elsewhere.name} ({elsewhere.seen})"


def on_login_node(plan: InstallPlan) -> str | None:
    """Return what is to be said where the torch that joins suits a login node, and maybe not the nodes behind it."""
    from mimctl.environment.accelerator import DRIVER_VARIABLE

    env, torch = plan.environment, plan.torch
    has_none = env.accelerator.value.kind == "none" and env.accelerator.source != DRIVER_VARIABLE
    if not has_none or env.slurm.value is None or plan.options.torch != "auto" or torch is None or torch.tag != "cpu":
        return None
    return (
        "no GPU driver was found here, so torch is the build for the CPU; for nodes of this cluster look at one, "
        "`mimctl env --partition P`, and install for it, `--for P`"
    )
