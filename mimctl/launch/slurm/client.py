"""Slurm's own commands: what they are called with, what they answer, their complaints as one error each.

Their text formats are read, not the JSON ones, which change between versions of Slurm.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.model import MEETING_VARIABLES, RANK_VARIABLES

TIMEOUT_S = 60.0
"""Seconds that a command of Slurm may take; a controller that does not answer keeps them waiting for minutes."""

_LEAKING = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "PMI", "PMIX_")
_KEPT = frozenset({
    "SLURM_CONF", "SLURM_CLUSTERS",
    "SBATCH_ACCOUNT", "SBATCH_CLUSTERS", "SBATCH_PARTITION", "SBATCH_QOS", "SBATCH_RESERVATION",
})  # fmt: skip
"""What says whose job it is and where it goes; what counts tasks, nodes and memory belongs to another job."""

RUNNING = frozenset({"RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SIGNALING", "STOPPED", "SUSPENDED"})
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "RESIZING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What Slurm says of a job: its state in Slurm's word, why it waits, the nodes that it has."""

    job_id: str
    state: str
    reason: str = ""
    nodes: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether the job has ended for good, as far as its state tells."""
        return self.state not in RUNNING and self.state not in WAITING


def clean_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without what another job or launcher has left in it (counts of tasks, nodes, memory).

    Where ranks meet stays: a MASTER_ADDR that somebody exports wins.
    """
    found = os.environ if environ is None else environ
    return {name: value for name, value in found.items() if name in _KEPT or not _is_leaking(name)}


def _is_leaking(name: str) -> bool:
    return name.startswith(_LEAKING) or (name in RANK_VARIABLES and name not in MEETING_VARIABLES)


def leaked(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the names of the variables that `clean_environment` leaves out."""
    found = os.environ if environ is None else environ
    return tuple(sorted(found.keys() - clean_environment(found).keys()))


def submit(script: Path, arguments: Sequence[str] = (), *, environ: Mapping[str, str] | None = None) -> str:
    """Submit a batch script and return the job's id.

    Raises MimctlError[slurm-missing] without `sbatch`, [slurm-refused] with Slurm's own words.
    """
    said = call(["sbatch", "--parsable", *arguments, str(script)], environ=environ).strip()
    # With several clusters the answer is `id;cluster`; a site's plugin may print lines of its own before it.
    found = re.search(r"^(\d+)(;.*)?$", said, re.MULTILINE)
    if found is None:
        raise MimctlError("sbatch answered with no job id", code="slurm-refused", causes=said.splitlines()[-3:])
    return found.group(1)


def ask(job_ids: Iterable[str], *, patience_s: float = TIMEOUT_S) -> dict[str, Job]:
    """Return what is known of jobs, by id; those that Slurm has forgotten are left out.

    Raises MimctlError[slurm-missing], [slurm-refused] where there is no answer within `patience_s` seconds.
    """
    wanted = list(dict.fromkeys(job_ids))
    if not wanted:
        return {}
    found = _queue(wanted, patience_s)
    forgotten = [each for each in wanted if each not in found]
    return found | _accounts(forgotten, patience_s) if forgotten else found


def cancel(job_id: str) -> None:
    """Cancel a job; one that has ended already is no error."""
    call(["scancel", job_id])


def _queue(job_ids: Sequence[str], patience_s: float) -> dict[str, Job]:
    line = "%i|%T|%r|%N"
    try:
        answer = call(["squeue", "-h", "-r", "-t", "all", "-j", ",".join(job_ids), "-o", line], patience_s=patience_s)
    except MimctlError as err:
        if any("Invalid job id" in cause for cause in err.causes):
            return {}
        raise
    return {job.job_id: job for job in map(_job, answer.splitlines()) if job is not None}


def _accounts(job_ids: Sequence[str], patience_s: float) -> dict[str, Job]:
    fields = "JobID,State,ExitCode,NodeList"
    try:
        answer = call(["sacct", "-X", "-n", "-P", "-j", ",".join(job_ids), "-o", fields], patience_s=patience_s)
    except MimctlError:
        return {}  # many a cluster keeps no accounts
    jobs: dict[str, Job] = {}
    for text in answer.splitlines():
        parts = text.split("|")
        if len(parts) == 4:
            # `CANCELLED by 1000` names the user too.
            jobs[parts[0]] = Job(job_id=parts[0], state=parts[1].split()[0], reason="", nodes=parts[3])
    return jobs


def _job(text: str) -> Job | None:
    parts = text.split("|")
    if len(parts) != 4:
        return None
    reason = "" if parts[2] == "None" else parts[2]
    return Job(job_id=parts[0], state=parts[1], reason=reason, nodes=parts[3])


def call(argv: Sequence[str], *, environ: Mapping[str, str] | None = None, patience_s: float = TIMEOUT_S) -> str:
    """Return what one of Slurm's commands prints.

    Raises MimctlError[slurm-missing] where it is not installed, [slurm-refused] with its own words where it fails, or
    says nothing for `patience_s` seconds.
    """
    environment = clean_environment(environ)
    try:
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience_s
        )
    except FileNotFoundError as err:
        raise MimctlError(
            f"there is no `{argv[0]}` on this machine",
            code="slurm-missing",
            hints=["submit from a login node of the cluster, or leave out `--launcher slurm`"],
        ) from err
    except subprocess.TimeoutExpired as err:
        raise MimctlError(
            f"Slurm has not answered `{argv[0]}` for {patience_s:.0f} s",
            code="slurm-refused",
            hints=_hints_of_silence(argv),
        ) from err
    if done.returncode != 0:
        raise _refusal(argv, done.stderr or done.stdout)
    return done.stdout


def _hints_of_silence(argv: Sequence[str]) -> list[str]:
    hints = ["its controller may be down: `scontrol ping`"]
    if argv[0] == "sbatch":
        hints.append("it may have taken the job all the same: look with `squeue --me` before you submit it again")
    return hints


def _refusal(argv: Sequence[str], said: str) -> MimctlError:
    lines = [re.sub(rf"^{argv[0]}: (error: )?", "", line) for line in said.splitlines() if line.strip()]
    causes = lines[-4:] or ["it said nothing"]
    if "configuration source" in said:
        return MimctlError(
            f"Slurm's `{argv[0]}` is here, but knows no cluster",
            code="slurm-missing",
            causes=causes,
            hints=["submit from a login node of the cluster, or say by SLURM_CONF where its configuration lies"],
        )
    if "Unable to contact slurm controller" in said:
        hints = ["its controller is down, or not reached from here: `scontrol ping`"]
        return MimctlError(f"Slurm does not answer `{argv[0]}`", code="slurm-refused", causes=causes, hints=hints)
    if "Socket timed out" in said:
        hints = _hints_of_silence(argv)
        return MimctlError(f"Slurm does not answer `{argv[0]}`", code="slurm-refused", causes=causes, hints=hints)
    if argv[0] != "sbatch":
        return MimctlError(f"Slurm refused `{argv[0]}`", code="slurm-refused", causes=causes)
    hints = []
    if "artition" in said:
        hints = ["see what there is: `sinfo`, and name one by `--partition`"]
    elif "node configuration is not available" in said or "More processors requested" in said:
        hints = ["no node of this partition has so much; see what they have: `sinfo -o '%n %c %m %G'`"]
    elif "account" in said.lower():
        hints = ["name an account that you may use by `--account`"]
    return MimctlError("Slurm did not take the job", code="slurm-refused", causes=causes, hints=hints)
