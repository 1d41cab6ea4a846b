"""A login node is no compute node: what is on the nodes is looked at through Slurm, and counts from then on.

The nodes have an nvidia-smi that the login node does not have; torch and operators are files of versions that say so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from login_node import Login
from patience import wait_until

TRAIN = ("train", "det", "toy.py", "--launcher", "slurm", "--cpus-per-task", 1)
INSTALL = ("install", "mimctl-ops", "--dry-run", "--json")
ARM = "Root-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_aarch64\n"


class Nodes:
    """The commands that the nodes have and the login node has not."""

    def __init__(self, cluster: dict[str, str]) -> None:
        folder = Path(cluster["SLURM_CONF"]).parent
        self.path = f"{folder / 'commands'}:{os.environ['PATH']}"
        self.folder = folder / "commands-of-nodes"

    def have(self, *gpus: str, driver: str = "580.65.06") -> None:
        """Give the nodes an nvidia-smi; a GPU is `capability, MiB, mode of MIG, name`."""
        lines = []
        for number, gpu in enumerate(gpus):
            capability, rest = gpu.split(", ", 1)
            lines.append(f"{number}, GPU-{number}aaa, {driver}, {capability}, {rest}")
        smi = self.folder / "nvidia-smi"
        smi.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
        smi.chmod(0o755)


H100 = "9.0, 81559, Disabled, NVIDIA H100"
V100 = "7.0, 16384, Disabled, Tesla V100"


@pytest.fixture
def nodes(cluster: dict[str, str]) -> Iterator[Nodes]:
    """Return the nodes' commands, none of them there yet."""
    found = Nodes(cluster)
    yield found
    for each in found.folder.iterdir():
        each.unlink()


@pytest.fixture
def user(login: Login, nodes: Nodes) -> Login:
    """Return a user whose PATH names the folder of commands, empty on the login node."""
    return replace(login, environment={**login.environment, "PATH": nodes.path})


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return an environment with nothing but what stands for pip."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (next(folder.glob("lib/python*/site-packages")) / "pip-26.0.dist-info").mkdir()
    return folder


@pytest.fixture
def venv(bare: Path) -> Path:
    """Return an environment with the toolboxes and the engine of the tests' own."""
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    site = next(bare.glob("lib/python*/site-packages"))
    (site / "tests.pth").write_text("\n".join([str(Path(__file__).parents[2]), *packages]) + "\n")
    return bare


def put_torch(venv: Path, version: str, cuda: str | None, wheel: str = "") -> None:
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "torch").mkdir(exist_ok=True)
    (site / "torch/version.py").write_text(f"__version__ = '{version}'\ncuda = {cuda!r}\n")
    record = site / f"torch-{version}.dist-info"
    record.mkdir(exist_ok=True)
    (record / "INSTALLER").write_text("pip\n")
    (record / "WHEEL").write_text(wheel)


def put_ops(venv: Path, label: str) -> None:
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "mimctl_ops").mkdir(exist_ok=True)
    (site / "mimctl_ops/build.json").write_text(json.dumps({"backend": label, "min_torch": "2.10"}))
    (site / f"mimctl_ops-0.1.0+{label}.dist-info").mkdir()


def document(done: subprocess.CompletedProcess[str]) -> dict:
    return json.loads(done.stdout)


def test_a_node_says_what_it_has_though_the_login_node_has_nothing(user: Login, nodes: Nodes) -> None:
    nodes.have(H100, H100)
    here = document(user.mimctl("env", "--json"))["facts"]
    assert here["accelerator"]["value"]["kind"] == "none"
    said = user.mimctl("env", "--partition", "high", "--json", MIMCTL_DRIVER="999.9")
    assert said.returncode == 0, said.stderr
    found = document(said)
    assert (found["cluster"], found["partition"], found["target"]["python"]) == ("mimctltest", "high", sys.executable)
    assert found["node"] in ("n1", "n2")
    driver, gpus = found["facts"]["accelerator"], found["facts"]["gpus"]["value"]
    assert (driver["value"]["kind"], driver["value"]["driver"]) == ("cuda", "580.65.06")
    assert driver["source"].endswith("commands/nvidia-smi")
    # A GPU that the job was not given is the node's all the same.
    assert [(gpu["name"], gpu["is_visible"]) for gpu in gpus] == [("NVIDIA H100", True)] * 2
    (kind,) = found["nodes"]
    assert (kind["partition"], kind["names"], kind["cpus"], kind["gres"]) == ("high", "n[1-2]", 8, ["gpu:4"])
    assert Path(found["path"]).parent.parent == user.folder / "home/clusters"
    text = user.mimctl("env", "--partition", "high").stdout
    assert [line.split()[0] for line in text.splitlines()][1:6] == ["cluster", "partition", "nodes", "node", "target"]
    assert "cuda (driver 580.65.06)" in text


def test_the_environment_that_is_meant_is_the_one_that_looks(user: Login, nodes: Nodes, venv: Path) -> None:
    put_torch(venv, "2.13.0+cu130", "13.0")
    found = document(user.mimctl("env", "--partition", "low", "--json", "--python", venv))
    assert found["target"]["python"] == str(venv / "bin/python")
    assert found["facts"]["torch"]["value"]["version"] == "2.13.0+cu130"


def test_a_look_that_gets_no_node_ends_in_time_and_leaves_no_job(user: Login, cluster: dict[str, str]) -> None:
    hold = ["sbatch", "--parsable", "-p", "high", "-N2", "--exclusive", "--output=/dev/null", "--wrap", "sleep 900"]
    job = subprocess.run(hold, env=user.environment, capture_output=True, text=True, check=True).stdout.strip()
    try:
        wait_for(user, job, "RUNNING")
        start = time.monotonic()
        said = user.mimctl("env", "--partition", "low", "--wait", 2, "--json")
        assert time.monotonic() - start < 240
        assert (said.returncode, document(said)["error"]["code"]) == (1, "no-free-node")
        assert queue(user) == [job]
        process = subprocess.Popen(
            user.argv("env", "--partition", "low", "--wait", "600"),
            cwd=user.folder,
            env=user.environment,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: len(queue(user)) == 2, seconds=240)
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 130
        wait_until(lambda: queue(user) == [job])
    finally:
        subprocess.run(["scancel", job], env=user.environment)
        wait_for(user, job, "")


def test_in_a_job_the_node_of_the_job_is_looked_at(user: Login, nodes: Nodes) -> None:
    nodes.have(H100)
    asked = " ".join(user.argv("env", "--partition", "high", "--json"))
    # The node has no other CPU to give: nothing but this job can answer.
    where = ("-p", "high", "-w", "n2", "--exclusive", "--output=said.json")
    argv = ["sbatch", "--parsable", *where, "--wrap", f"{asked} 2>/dev/null"]
    done = subprocess.run(argv, env=user.environment, cwd=user.folder, capture_output=True, text=True, check=True)
    wait_for(user, done.stdout.strip(), "")
    found = json.loads((user.folder / "said.json").read_text())
    assert (found["node"], found["facts"]["accelerator"]["value"]["driver"]) == ("n2", "580.65.06")
    # It is kept for the submissions of the login node.
    said = user.mimctl(*TRAIN, "--gpus", 1, "--partition", "high", "--json")
    assert document(said)["error"]["code"] == "unfit-partition"


def queue(user: Login) -> list[str]:
    said = subprocess.run(["squeue", "-h", "-o", "%i"], env=user.environment, capture_output=True, text=True)
    return sorted(said.stdout.split())


def wait_for(user: Login, job: str, state: str) -> None:
    deadline = time.monotonic() + 240
    while True:
        argv = ["squeue", "-h", "-j", job, "-o", "%T"]
        if subprocess.run(argv, env=user.environment, capture_output=True, text=True).stdout.strip() == state:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_partition_and_an_interpreter_that_are_not_there(user: Login, tmp_path: Path) -> None:
    said = document(user.mimctl("env", "--partition", "hihg", "--json"))["error"]
    assert (said["code"], said["exit_code"]) == ("unknown-partition", 2)
    assert "`high`" in str(said["hints"])
    # What lies on the login node alone: here a folder that the nodes see something else in.
    hidden = Path(user.environment["SLURM_CONF"]).parent / "commands"
    (hidden / "python").symlink_to(sys.executable)
    try:
        said = document(user.mimctl("env", "--partition", "high", "--python", hidden / "python", "--json"))["error"]
    finally:
        (hidden / "python").unlink()
    assert said["code"] == "not-on-node"
    assert str(hidden / "python") in said["message"]


def test_options_of_a_look_go_with_a_partition(user: Login) -> None:
    said = user.mimctl("env", "--wait", 5)
    assert said.returncode == 2
    assert "goes with `--partition`" in said.stderr


@pytest.mark.parametrize(
    ("gpu", "driver", "torch", "cuda", "ops", "cause"),
    [
        (None, "", "2.13.0+cu130", "13.0", None, "needs an NVIDIA driver, and none was found there"),
        (H100, "535.54.03", "2.13.0+cu130", "13.0", None, "needs NVIDIA driver >= 580, there it is 535.54.03"),
        (V100, "580.65.06", "2.13.0+cu130", "13.0", None, "no code for compute capability 7.0 (Tesla V100)"),
        (H100, "580.65.06", "2.13.0+cpu", None, None, "computes on the CPU alone, 2 GPUs are asked for"),
        (H100, "580.65.06", "2.13.0+cu130", "13.0", "cpu", "mimctl-ops 0.1.0+cpu: no CUDA code"),
    ],
)
def test_a_run_that_cannot_work_there_is_not_submitted(
    user: Login, nodes: Nodes, venv: Path, gpu, driver, torch, cuda, ops, cause
) -> None:
    put_torch(venv, torch, cuda)
    if ops:
        put_ops(venv, ops)
    if gpu:
        nodes.have(gpu, driver=driver)
    assert user.mimctl("env", "--partition", "high", "--python", venv).returncode == 0
    said = user.mimctl(*TRAIN, "--gpus", 2, "--partition", "high", "--python", venv, "--json")
    error = document(said)["error"]
    assert (said.returncode, error["code"]) == (3, "unfit-partition"), said.stderr
    assert cause in error["causes"][0]


def test_what_is_refused_starts_nothing_and_leaves_nothing(user: Login, nodes: Nodes, venv: Path) -> None:
    put_torch(venv, "2.13.0+cu130", "13.0")
    assert user.mimctl("env", "--partition", "high", "--python", venv).returncode == 0
    for more in ((), ("--dry-run",), ("--foreground",)):
        said = user.mimctl(*TRAIN, "--gpus", 2, "--partition", "high", "--python", venv, *more)
        assert "error[unfit-partition]: this environment cannot work on partition `high`" in said.stderr
    assert queue(user) == []
    assert not (user.folder / "work_dirs").exists()
    # On the CPU the same environment may work there, and another partition was not looked at.
    said = user.mimctl(*TRAIN, "--gpus", 0, "--partition", "high", "--python", venv, "--dry-run")
    assert said.returncode == 0, said.stderr
    said = user.mimctl(*TRAIN, "--gpus", 2, "--partition", "low", "--python", venv, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "`mimctl env --partition low`" in said.stderr


@pytest.mark.parametrize(
    "line",
    [
        ("test", "det", "toy.py", "-C", "some.pth"),
        ("infer", "det", "some.pth", "some.png"),
        ("sweep", "det", "toy.py", "--grid", "optim_wrapper.optimizer.lr=0.1,0.2"),
        ("run", "det", "mimctl_det.infer"),
    ],
    ids=lambda line: line[0],
)
def test_no_verb_submits_what_cannot_work(user: Login, nodes: Nodes, line: tuple[str, ...]) -> None:
    """The torch of the tests is a build for the CPU."""
    nodes.have(H100)
    for name in ("some.pth", "some.png"):
        (user.folder / name).touch()
    assert user.mimctl("env", "--partition", "high").returncode == 0
    words = ("--launcher", "slurm", "--gpus", 2, "--partition", "high")
    at = 2 if line[0] == "run" else len(line)
    error = document(user.mimctl(*line[:at], *words, "--json", *line[at:]))["error"]
    assert (error["code"], queue(user)) == ("unfit-partition", [])
    assert "computes on the CPU alone, 2 GPUs are asked for" in error["causes"][0]


def test_a_wheel_of_another_processor_cannot_work_on_the_cpu_either(user: Login, nodes: Nodes, venv: Path) -> None:
    put_torch(venv, "2.13.0+cpu", None, wheel=ARM)
    assert user.mimctl("env", "--partition", "low", "--python", venv).returncode == 0
    # `low` is the cluster's default partition, and what the shell names for sbatch counts as if it were typed.
    for more in ({}, {"SBATCH_PARTITION": "low"}):
        said = user.mimctl(*TRAIN, "--gpus", 0, "--python", venv, "--json", "--dry-run", **more)
        assert document(said)["error"]["causes"][0].startswith("torch 2.13.0+cpu is a wheel for manylinux_2_28_aarch64")
    said = user.mimctl(*TRAIN, "--gpus", 0, "--python", venv, "--dry-run", SBATCH_PARTITION="high")
    assert said.returncode == 0


def test_where_nothing_is_known_one_note_says_how_to_look(user: Login, venv: Path) -> None:
    put_torch(venv, "2.13.0+cu130", "13.0")
    ask = (*TRAIN, "--gpus", 2, "--partition", "high", "--dry-run", "--python", venv)
    said = user.mimctl(*ask)
    assert said.returncode == 0
    assert said.stderr.count("nothing is known of the nodes of partition `high`") == 1
    assert "warning" not in said.stderr
    put_torch(venv, "2.13.0+cpu", None)
    said = user.mimctl(*ask)
    assert "warning: torch 2.13.0+cpu computes on the CPU alone, and GPUs are asked for" in said.stderr
    assert "nothing is known" not in user.mimctl(*TRAIN, "--gpus", 0, "--dry-run", "--python", venv).stderr
    # A container's environment is its own.
    said = user.mimctl(*ask, "--container", "apptainer exec --nv x.sif")
    assert "nothing is known" not in said.stderr


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index with operators for the CPU, for CUDA 12 and for CUDA 13."""
    files = []
    for backend, driver in (("cpu", None), ("cu12", "525.60.13"), ("cu13", "580")):
        name = f"mimctl_ops-0.3.0+{backend}-py3-none-manylinux_2_17_x86_64.whl"
        build = {"backend": backend, "min_torch": "2.10"}
        build |= {"min_driver": driver, "archs": ["8.0", "9.0"]} if driver else {}
        files.append({
            "project": "mimctl-ops", "filename": name, "url": f"files/{name}", "sha256": "0" * 64,
            "version": f"0.3.0+{backend}", "tags": ["py3-none-manylinux_2_17_x86_64"], "build": build,
        })  # fmt: skip
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "index.json").write_text(
        json.dumps({"schema_version": 1, "files": files, "torch": {"verified": "2.13.0"}})
    )
    return folder


def test_what_is_installed_here_is_chosen_for_the_nodes(user: Login, nodes: Nodes, bare: Path, index: Path) -> None:
    put_torch(bare, "2.13.0+cu130", "13.0")
    ask = (*INSTALL, "--index", index, "--python", bare)
    said = user.mimctl(*ask, "--for", "high")
    assert document(said)["error"]["code"] == "nothing-known"
    nodes.have(H100, driver="580.65.06")
    user.mimctl("env", "--partition", "high", "--python", bare)
    nodes.have(H100, driver="535.54.03")
    seen = user.mimctl("env", "--partition", "low", "--python", bare, "--json")
    chosen = {}
    for partition in ("high", "low"):
        found = document(user.mimctl(*ask, "--for", partition))
        chosen[partition] = [change["version"] for change in found["changes"]]
        assert found["notes"][0].startswith(f"chosen for partition `{partition}` (seen on n")
    assert chosen == {"high": ["0.3.0+cu13"], "low": ["0.3.0+cu12"]}
    (user.folder / "node.json").write_text(seen.stdout)
    found = document(user.mimctl(*ask, "--for", "node.json"))
    assert [change["version"] for change in found["changes"]] == ["0.3.0+cu12"]


def test_a_file_for_another_machine_and_one_that_is_none(user: Login, bare: Path, index: Path) -> None:
    put_torch(bare, "2.13.0+cu130", "13.0")
    ask = (*INSTALL, "--index", index, "--python", bare, "--for")
    facts = document(user.mimctl("env", "--json"))
    facts["facts"]["platform"]["value"]["machine"] = "aarch64"
    (user.folder / "arm.json").write_text(json.dumps(facts))
    (user.folder / "none.json").write_text("{}")
    error = document(user.mimctl(*ask, "arm.json"))["error"]
    assert (error["code"], error["exit_code"]) == ("other-machine", 3)
    assert document(user.mimctl(*ask, "none.json"))["error"]["code"] == "bad-facts"
    assert document(user.mimctl(*ask, "missing.json"))["error"]["exit_code"] == 2
