"""What Slurm is told of a run: what was typed, then variables, then what is set for the cluster (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.errors import UsageError
from mimctl.launch.model import CPUS_PER_TASK, LaunchOptions, SlurmOptions
from mimctl.launch.slurm.arguments import (
    Argument,
    divide,
    last_of_each,
    read_arguments,
    split_words,
    value_of,
    without_sbatchs,
)
from mimctl.settings.clusters import ClusterDefaults

_OWN = {"partition": "partition", "time": "time", "account": "account", "qos": "qos", "job-name": "job_name"}
"""What may be said among the arguments, too, and is an option here."""
_VARIABLES = {"partition": "SBATCH_PARTITION", "account": "SBATCH_ACCOUNT", "qos": "SBATCH_QOS"}


def ask_for(
    launch: LaunchOptions, defaults: ClusterDefaults, environ: Mapping[str, str], *, job_name: str
) -> SlurmOptions:
    """Return what Slurm is told; `job_name` is used where none is typed.

    The arguments and set-up lines of the cluster come before those that were typed, whose word counts last; an empty
    `--setup ''` leaves the cluster's out, and so does an empty `--container ''`. Raises UsageError for words with an
    open quote and for what no script can hold.
    """
    of_job, of_ranks = _arguments(defaults.sbatch_args, defaults.srun_args)
    typed, typed_for_ranks = _arguments(launch.sbatch_args, launch.srun_args)
    asked = last_of_each([*of_job, *typed])
    if launch.foreground:
        asked = without_sbatchs(asked)
    own: dict[str, Any] = {"job_name": launch.job_name or job_name}
    for name, field in _OWN.items():
        of_cluster = environ.get(_VARIABLES.get(name, "")) or getattr(defaults, field, None)
        own[field] = value_of(asked, name) or getattr(launch, field) or of_cluster or own.get(field)
    container = launch.container if launch.container is not None else defaults.container
    return SlurmOptions(
        **own,
        cpus_per_task=launch.cpus_per_task or defaults.cpus_per_task or CPUS_PER_TASK,
        lead_s=launch.lead_time,
        sbatch_args=tuple(each.word for each in asked if each.name not in _OWN),
        srun_args=tuple(each.word for each in (*of_ranks, *typed_for_ranks)),
        setup=_setup(defaults.setup, launch.setup),
        container=split_words("--container", container),
        foreground=launch.foreground,
    )


def _arguments(sbatch: str | None, srun: str | None) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    return divide(read_arguments("--sbatch-args", sbatch), read_arguments("--srun-args", srun))


def _setup(of_cluster: Sequence[str], typed: Sequence[str]) -> tuple[str, ...]:
    lines = tuple(typed) if "" in typed else (*of_cluster, *typed)
    broken = next((each for each in lines if any(letter in each for letter in "\r\0")), None)
    if broken is not None:
        raise UsageError(f"{broken!r} in `--setup` holds what no batch script may")
    return tuple(each for each in lines if each)
