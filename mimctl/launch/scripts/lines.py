"""The lines that start a script itself, without our engine: mim's own for packages of its convention (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimctl.errors import UsageError
from mimctl.launch.model import MEETING_VARIABLES, RANK_VARIABLES, SlurmOptions
from mimctl.launch.scripts.programs import Program
from mimctl.launch.slurm.setup import render_setup
from mimctl.spec import LauncherFacts

_CONSOLE = (
    "import functools, importlib, sys; sys.argv[0] = {name!r}; "
    "sys.exit(functools.reduce(getattr, {function!r}.split('.'), importlib.import_module({module!r}))())"
)
_RANK = """\
#!/bin/bash
# One rank of a script under Slurm: `srun ... bash rank.sh python -u SCRIPT ...`.
{setup}export MASTER_ADDR="${{MASTER_ADDR:-$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1)}}"
export RANK="$SLURM_PROCID" WORLD_SIZE="$SLURM_NTASKS" LOCAL_RANK="$SLURM_LOCALID"
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is started; `environment` is set on top of the caller's, `unset` taken out of it."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


def alone(python: Path, program: Program, words: Sequence[str], facts: LauncherFacts | None) -> Line:
    """Return what starts a program as one process, as typed; without `facts` its surroundings stay as they are."""
    # A module `numpy` in the current folder must not run; a script's own folder is where its neighbours are.
    argv: tuple[str, ...] = (program.target,)
    if program.kind == "module":
        argv = ("-P", "-m", program.target)
    elif program.kind == "console":
        module, _, function = program.target.partition(":")
        argv = ("-P", "-c", _CONSOLE.format(name=program.name, module=module, function=function))
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if facts is not None and facts.device == "cpu" else {}
    unset = () if facts is None else RANK_VARIABLES
    return Line(argv=(str(python), *argv, *words), environment=hidden, unset=unset)


def by_torch(python: Path, script: Sequence[str], facts: LauncherFacts, *, port: int) -> Line:
    """Return what starts a script and its words over the ranks of this machine by torch's own launcher, as mim does.

    With several nodes each gets the line, with its own number.
    """
    meeting = [f"--nproc_per_node={facts.num_procs}", f"--master_port={port}"]
    if facts.num_nodes > 1:
        host, _, own = (facts.rdzv_endpoint or "").rpartition(":")
        nodes = [f"--nnodes={facts.num_nodes}", f"--node_rank={facts.node_rank}", f"--master_addr={host}"]
        meeting = [meeting[0], *nodes, f"--master_port={own}"]
    if facts.max_restarts:
        meeting.append(f"--max_restarts={facts.max_restarts}")
    environment = {"CUDA_VISIBLE_DEVICES": ""} if facts.device == "cpu" else {}
    return Line(
        # Without -P a file `torch.py` in the current folder would be started instead.
        argv=(str(python), "-P", "-m", "torch.distributed.launch", *meeting, *script),
        environment={**environment, "MASTER_PORT": str(port)},
        unset=tuple(name for name in RANK_VARIABLES if name != "MASTER_PORT"),
    )


def by_srun(
    python: Path,
    script: Sequence[str],
    facts: LauncherFacts,
    slurm: SlurmOptions,
    *,
    port: int,
    prefix: Sequence[str] = (),
) -> Line:
    """Return what starts a script and its words over tasks of Slurm, in mim's line; `prefix` stands before Python."""
    if facts.is_elastic:
        raise UsageError("`--elastic` needs our engine, which does not start scripts of packages")
    more = {"time": slurm.time, "account": slurm.account, "qos": slurm.qos}
    gives_gpus = any(each.startswith(("--gres", "--gpus")) for each in (*slurm.sbatch_args, *slurm.srun_args))
    argv = (
        "srun",
        *(("-p", slurm.partition) if slurm.partition else ()),
        *((f"--gres=gpu:{facts.num_procs}",) if facts.device == "cuda" and not gives_gpus else ()),
        f"--ntasks={facts.num_procs * facts.num_nodes}",
        f"--ntasks-per-node={facts.num_procs}",
        f"--cpus-per-task={slurm.cpus_per_task}",
        "--kill-on-bad-exit=1",
        *(f"--{name}={value}" for name, value in more.items() if value),
        *slurm.sbatch_args,
        *slurm.srun_args,
        f"--job-name={slurm.job_name}",
        *prefix,
        *slurm.container,
        str(python),
        "-u",
        *script,
    )
    kept = MEETING_VARIABLES if prefix else ("MASTER_PORT",)
    unset = tuple(name for name in RANK_VARIABLES if name not in kept)
    return Line(argv=argv, environment={"MASTER_PORT": str(port)}, unset=unset)


def render_rank(slurm: SlurmOptions) -> str:
    """Return the script that a task is where a program has to find its place, or its surroundings have to be made."""
    return _RANK.format(setup=render_setup(slurm))
