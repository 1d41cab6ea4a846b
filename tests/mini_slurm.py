"""A real Slurm of two nodes on this machine, for tests: no systemd, no cgroup, no database. Debian's packages, root.

Each node declares 8 CPUs, 8 GB and 4 GPUs that are character devices like /dev/null, whatever the machine has.
Partitions: `low` (preempted with ten seconds' notice), `abrupt` (without), `gone` (without, and not queued again),
`high` (preempts these). Nothing outside the folder is changed: the nodes see a list of hosts of their own, and in its
`commands` what lies in `commands-of-nodes`. Jobs of two such clusters on
one machine have numbers, and so ports, of their own.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from debian import require_programs
from loopback import free_ports
from machines import Machine, machines

NODES = ("n1", "n2")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
START_S = 240.0

_CONF = """\
ClusterName=mimctltest
SlurmctldHost={host}({control})
SlurmctldPort={ports[0]}
FirstJobId={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=3600
MessageTimeout=30
LaunchParameters=send_gids
{nodes}
PartitionName=low Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=abrupt Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=gone Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=0
PartitionName=high Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
_NODE = (
    "NodeName={name} NodeHostname={hostname} NodeAddr={address} Port={port} CPUs=8 Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket=8 ThreadsPerCore=1 RealMemory=8000 Gres=gpu:4 State=UNKNOWN"
)


def require_slurm() -> None:
    """Skip the test where no Slurm can be brought up; fetch Debian's packages where that is all that lacks."""
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    require_programs(PROGRAMS, ("slurm-wlm", "munge"), "Slurm")


@contextlib.contextmanager
def mini_slurm(folder: Path, *, apart: bool = False, **settings: object) -> Iterator[dict[str, str]]:
    """Bring up a Slurm in `folder` and yield the environment variables that lead to it; end it afterwards.

    `settings` change lines of slurm.conf (`MinJobAge=2`) or add some. With `apart` each node is a machine of its own
    as far as processes can tell (tests/machines.py), with a name of its own; the test is skipped where it may not be.
    """
    require_slurm()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    with machines(folder, NODES) if apart else contextlib.nullcontext(()) as found:
        yield from _run(folder, found, settings)


def _run(folder: Path, apart: Sequence[Machine], settings: Mapping[str, object]) -> Iterator[dict[str, str]]:
    _write_files(folder, apart, settings)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    try:
        _start_daemons(folder, apart, {**os.environ, **environment})
        _wait_for_nodes({**os.environ, **environment}, folder)
        yield environment
    finally:
        _stop_daemons(folder, {**os.environ, **environment})


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment variables of a Slurm that runs while the tests do: one for all of them."""
    with mini_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


def empty_queue(environment: Mapping[str, str]) -> None:
    """Cancel all jobs and wait until the last one is gone: the next test finds both nodes free."""
    variables = {**os.environ, **environment}
    if subprocess.run(["squeue", "-h"], env=variables, capture_output=True).stdout.strip():
        subprocess.run(["scancel", "--user=root"], env=variables, capture_output=True)
        _wait_until_empty(variables)


@contextlib.contextmanager
def no_controller(environment: Mapping[str, str]) -> Iterator[None]:
    """Take the controller away while the block runs."""
    pid = _pid(Path(environment["SLURM_CONF"]).with_name("slurmctld.pid"))
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}/exe").exists():
        time.sleep(0.05)
    try:
        yield
    finally:
        _call(["slurmctld"], {**os.environ, **environment})


def _write_files(folder: Path, apart: Sequence[Machine], settings: Mapping[str, object]) -> None:
    ports = free_ports(3)
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool-n1", "spool-n2", "commands", "commands-of-nodes"):
        (folder / name).mkdir(exist_ok=True)
    places = [(each.name, each.address) for each in apart] or [(host, "127.0.0.1")] * 2
    nodes = "\n".join(
        _NODE.format(name=name, hostname=hostname, address=address, port=port)
        for name, port, (hostname, address) in zip(NODES, ports[1:], places, strict=True)
    )
    conf = _CONF.format(
        host=host, control=apart[0].gateway if apart else "127.0.0.1", ports=ports, folder=folder, nodes=nodes
    )
    for name, value in settings.items():
        conf, changed = re.subn(rf"^{name}=.*$", f"{name}={value}", conf, flags=re.MULTILINE)
        conf = conf if changed else f"{name}={value}\n{conf}"
    (folder / "slurm.conf").write_text(conf)
    for number in range(4):
        # A GRES that is only counted makes the node invalid; a plain file leaves CUDA_VISIBLE_DEVICES unset.
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={folder}/gpu[0-3]\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # read, never used
    (folder / "hosts").write_text(f"127.0.0.1 localhost {host} n1 n2\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)


def _start_daemons(folder: Path, apart: Sequence[Machine], environment: dict[str, str]) -> None:
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{name}={folder / file}" for name, file in {**files, "seed-file": "munged.seed"}.items()]
    _call(["munged", *options, "--force"], environment)
    _call(["slurmctld", "-c"], environment)
    for number, name in enumerate(NODES):
        # Its own view of /etc/hosts: the ranks of a job find each other by the nodes' names. And commands (a driver's)
        # that the login node does not have.
        mounts = [f"mount --bind {folder}/commands-of-nodes {folder}/commands"]
        mounts += [] if apart else [f"mount --bind {folder}/hosts /etc/hosts"]
        line = ["sh", "-c", f"{' && '.join(mounts)} && exec slurmd -N {name}"]
        _call(apart[number].inside(line) if apart else ["unshare", "--mount", *line], environment)


def _wait_for_nodes(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            line = ["sinfo", "-h", "-N", "-p", "low", "-o", "%T"]
            found = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=30).stdout
            if found.split() == ["idle", "idle"]:
                return
        time.sleep(0.1)
    log = (folder / "slurmctld.log").read_text(errors="replace")[-2000:]
    raise AssertionError(f"the nodes did not come up:\n{log}")


def _stop_daemons(folder: Path, environment: dict[str, str]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired, FileNotFoundError):
        subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, timeout=60)
        _wait_until_empty(environment)
    pids = [pid for name in ("slurmd-n1", "slurmd-n2", "slurmctld", "munged") if (pid := _pid(folder / f"{name}.pid"))]
    for number, patience in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 30.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while pids and time.monotonic() < deadline:
            pids = [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]
            time.sleep(0.05)


def _wait_until_empty(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True, timeout=30).stdout
        if not left.strip():
            return
        time.sleep(0.2)


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _call(argv: list[str], environment: dict[str, str]) -> None:
    # A daemon keeps what it inherits: pipes of ours would never end.
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=240)
    assert done.returncode == 0, argv
