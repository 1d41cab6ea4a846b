"""Look at a node of a partition through Slurm: the target's interpreter runs there once and says what it sees."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimctl.environment.elsewhere import Elsewhere, read_elsewhere
from mimctl.environment.on_node import MARK
from mimctl.environment.plain import plain
from mimctl.errors import MimctlError, UsageError
from mimctl.launch.slurm.client import clean_environment
from mimctl.launch.slurm.cluster import NodeKind, cluster_name, node_kinds
from mimctl.launch.slurm.fitting import find_kinds
from mimctl.launch.slurm.nodes.known import write_known
from mimctl.launch.slurm.nodes.parcel import OPEN, pack

WAIT_S = 60
"""How long a look waits for a free node unless it is told otherwise."""
LOOK_S = 120.0
"""How long it may take once it has one: a cold network file system, a driver that wakes up eight GPUs."""
_END_S = 5.0
_LOOKS = ("-P", "-c", OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookOptions:
    """How a look gets its node."""

    wait_s: int = WAIT_S
    """Seconds until a node has to be free, at least 1."""
    account: str | None = None
    qos: str | None = None
    srun_args: tuple[str, ...] = ()
    """Words for srun that win over ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look has found."""

    cluster: str
    partition: str
    kinds: tuple[NodeKind, ...]
    """What Slurm says of the partition's nodes; where there are several kinds, one node of one kind was seen."""
    found: Elsewhere
    document: Mapping[str, Any]
    path: Path
    """Where it is kept."""


def look_at(partition: str, python: Path, *, folder: Path, options: LookOptions | None = None) -> Look:
    """Look at one node of a partition and keep what was seen in `folder`.

    In a job on such a node that node is looked at, and Slurm is not asked for another one. `python` is the interpreter
    that runs there. Raises UsageError[unknown-partition], MimctlError[no-free-node] where
    none was free in time, [not-on-node] where the node has no such interpreter, [slurm-refused], [slurm-missing].
    """
    if "," in partition:
        raise UsageError("one partition is looked at at a time", hints=["name each in a call of its own"])
    kinds = tuple(find_kinds(node_kinds(), partition)[partition])
    cluster = cluster_name()
    options = options or LookOptions()
    if is_there(partition, os.environ):
        argv = [str(python), *_LOOKS]
    else:
        argv = srun_line(partition, python, options, has_gpus=any(each.gpus for each in kinds))
    answer = _ask_node(argv, partition, python, options)
    document = {
        **answer,
        "cluster": cluster,
        "partition": partition,
        "looked": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "nodes": [plain(each) for each in kinds],
    }
    return Look(
        cluster=cluster,
        partition=partition,
        kinds=kinds,
        found=read_elsewhere(json.dumps(document), name=f"partition `{partition}`"),
        document=document,
        path=write_known(folder, cluster, partition, document),
    )


def is_there(partition: str, environ: Mapping[str, str]) -> bool:
    """Return whether this process runs on a node of a partition; salloc's shell has its variables on the login node."""
    return environ.get("SLURM_JOB_PARTITION") == partition and bool(environ.get("SLURMD_NODENAME"))


def srun_line(partition: str, python: Path, options: LookOptions, *, has_gpus: bool) -> list[str]:
    """Return the line that looks: one task, with a GPU where the nodes have some, for many a site hides the others."""
    named = {"account": options.account, "qos": options.qos}
    return [
        "srun",
        f"--partition={partition}",
        "--job-name=mimctl-env",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=1",
        # Where the site says nothing of memory, a job takes all that a node has, and waits for it.
        "--mem=1G",
        "--time=5",
        "--mpi=none",
        f"--immediate={options.wait_s}",
        *(["--gres=gpu:1"] if has_gpus else []),
        *(f"--{name}={value}" for name, value in named.items() if value),
        *options.srun_args,
        str(python),
        *_LOOKS,
    ]


def _ask_node(argv: Sequence[str], partition: str, python: Path, options: LookOptions) -> dict[str, Any]:
    try:
        process = subprocess.Popen(
            argv,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as err:
        raise MimctlError("there is no `srun` on this machine", code="slurm-missing") from err
    try:
        out, errors = process.communicate(pack(), timeout=options.wait_s + LOOK_S)
    except subprocess.TimeoutExpired:
        out, errors = b"", b"it has not answered in time"
    finally:  # Ctrl-C too: the job must not wait in the queue for nobody
        _end(process)
    said = errors.decode("utf-8", "replace")
    lines = out.decode("utf-8", "replace").split("\n")
    line = next((each.removeprefix(MARK) for each in lines if each.startswith(MARK)), "")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None  # nothing, or half of it
    if not isinstance(answer, dict):
        raise _why(said, partition, python, options)
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    for stop in (process.terminate, process.kill):
        if process.poll() is not None:
            return
        stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)


def _why(said: str, partition: str, python: Path, options: LookOptions) -> MimctlError:
    lines = [line.removeprefix("srun: ").removeprefix("error: ") for line in said.splitlines() if line.strip()]
    if "Requested nodes are busy" in said:
        return MimctlError(
            f"no node of partition `{partition}` was free within {options.wait_s} s",
            code="no-free-node",
            hints=[
                f"wait longer: `mimctl env --partition {partition} --wait 3600`",
                "or type the same in a job of yours on such a node: it looks there, and asks for no other",
            ],
        )
    missing = [line for line in lines if "No such file or directory" in line and str(python) in line]
    if missing:
        return MimctlError(
            f"the nodes of partition `{partition}` have no `{python}`",
            code="not-on-node",
            causes=missing[:1],
            hints=["make the environment where the nodes see it, and name it: `--python PATH`"],
        )
    return MimctlError(
        f"no node of partition `{partition}` could be looked at",
        code="slurm-refused",
        causes=lines[-4:] or ["srun said nothing"],
        hints=[
            "what your site asks of every job can be said: `--account`, `--qos`, `--srun-args`",
            "or type the same in a job on such a node: it looks there, without srun",
        ],
    )
