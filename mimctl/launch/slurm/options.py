"""What Slurm is told of a job: how much of it, where, for how long, and how its tasks run and end."""

from __future__ import annotations

from mimctl.errors import UsageError
from mimctl.launch.model import RunRequest
from mimctl.launch.slurm.arguments import GPU_NAMES, Argument, argument_of
from mimctl.launch.slurm.fitting import is_gpu

AGENTS_END_S = 30
"""Seconds that the agents of `--elastic` have to end after the first of them: they end together, by themselves."""


def job_options(request: RunRequest) -> list[str]:
    """Return what sbatch and srun are told alike: how much, where, for how long, on whose account."""
    facts, slurm = request.launcher, request.slurm
    options = [
        f"--job-name={slurm.job_name}",
        f"--nodes={facts.num_nodes}",
        f"--ntasks-per-node={1 if facts.is_elastic else facts.num_procs}",
        f"--cpus-per-task={cpus_of(request)}",
    ]
    typed = [argument_of(each) for each in slurm.sbatch_args]
    if facts.device == "cuda" and not any(_asks_for_gpus(each) for each in typed):
        others = [each.value for each in typed if each.name == "gres" and each.value]
        options.append(f"--gres={','.join([f'gpu:{facts.num_procs}', *others])}")
        typed = [each for each in typed if each.name != "gres"]
    named = {
        "partition": slurm.partition,
        "time": slurm.time,
        "account": slurm.account,
        "qos": slurm.qos,
    }
    options += [f"--{name}={value}" for name, value in named.items() if value]
    return [*options, *(each.word for each in typed)]


def ends_of_tasks(request: RunRequest) -> list[str]:
    """Return how tasks end with each other: at once, or by themselves where agents watch over each other.

    An agent that was killed at once could not tell why; one that hangs is ended after a while.
    """
    if request.launcher.is_elastic:
        return ["--kill-on-bad-exit=0", f"--wait={AGENTS_END_S}"]
    return ["--kill-on-bad-exit=1"]


def cpus_of(request: RunRequest) -> int:
    """Return the CPUs of one task: a rank, or with `--elastic` all ranks of a node."""
    return request.slurm.cpus_per_task * (request.launcher.num_procs if request.launcher.is_elastic else 1)


def command_of(request: RunRequest) -> list[str]:
    """Return what each task starts, up to the specification."""
    module = "mimctl.engine.agent" if request.launcher.is_elastic else "mimctl.engine.child"
    return [*request.slurm.container, str(request.python), "-u", "-P", "-m", module]


def require_writable(options: list[str], output: str) -> None:
    """Raise UsageError for what a directive or the name of an output file cannot say."""
    broken = next((each for each in options if any(letter in each for letter in "\n\r\0")), None)
    if broken is not None:
        raise UsageError(f"{broken!r} has a line break, which ends what a batch script tells Slurm")
    if "\\" in output:
        raise UsageError(
            f"Slurm writes to no folder with a backslash in its name: `{output}`", hints=["`--work-dir DIR`"]
        )


def _asks_for_gpus(argument: Argument) -> bool:
    if argument.name == "gres":
        return any(is_gpu(each) for each in (argument.value or "").split(","))
    return argument.name in GPU_NAMES
