"""An environment is held against what was seen of a node: what cannot work there is refused, the rest goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_environment import make_env

from mimctl.api.machines import lock_words, on_login_node
from mimctl.environment.elsewhere import on_machine, read_elsewhere
from mimctl.environment.installed import Fact, Ops
from mimctl.environment.plain import to_plain
from mimctl.errors import NoCompatibleBuildError
from mimctl.installer.locking.cells import cell_for
from mimctl.installer.model import InstallOptions, InstallPlan, TorchChange
from mimctl.launch.model import RunRequest, SlurmOptions
from mimctl.launch.place import Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.control import resume
from mimctl.launch.runs.record import record_of
from mimctl.launch.slurm.nodes.judge import judge
from mimctl.launch.slurm.nodes.known import read_known, write_known
from mimctl.launch.slurm.nodes.look import LookOptions, is_there, srun_line
from mimctl.launch.slurm.nodes.require import require_fit
from mimctl.spec import LauncherFacts

X86 = ("cp311-cp311-manylinux_2_28_x86_64",)
UNLABELLED = ("2.13.0", "2.14.0a0+git123")
NEW = ("py3-none-manylinux_2_34_x86_64",)
ARM = ("py3-none-manylinux_2_28_aarch64",)


def node_of(**facts):
    return read_elsewhere(
        json.dumps({**to_plain(make_env(torch=None, **facts)), "node": "n1", "looked": "2026-11-21 14:03 UTC"}),
        name="partition `p`",
    )


def verdict(node, *, torch, gpus=1, ops=None, tags=None, asked=None, origin="pip"):
    found = Ops(version=f"0.1.0+{ops}", path=Path("/ops"), backend=ops, min_torch="2.10", asked=asked) if ops else None
    here = make_env(
        torch=torch,
        cuda="13.0" if torch in UNLABELLED else None,
        ops=found,
        platform="linux" if node.platform.machine == "x86_64" else "linux-arm",
    )
    env = replace(on_machine(here, node), torch_origin=Fact(value=origin, source="a test"))
    return judge(env, node, partition="p", gpus=gpus, tags=tags or {"torch 2.13.0": X86})


CPU, OLD, NEWEST = node_of(), node_of(driver="535.54", gpus=("8.0",)), node_of(driver="580.65.06", gpus=("9.0",))
VOLTA, BLACKWELL = node_of(driver="580.65.06", gpus=("7.0",)), node_of(driver="580.65.06", gpus=("12.0",))
UNSEEN, ROCM = node_of(driver="580.65.06"), node_of(driver="rocm")


@pytest.mark.parametrize(
    ("node", "environment", "cause"),
    [
        (CPU, {"torch": "2.13.0+cu130"}, "torch 2.13.0+cu130 needs an NVIDIA driver, and none was found there"),
        (CPU, {"torch": "2.13.0+rocm6.4"}, "torch 2.13.0+rocm6.4 needs ROCm, and none was found there"),
        (ROCM, {"torch": "2.13.0+cu130"}, "needs an NVIDIA driver"),
        (OLD, {"torch": "2.13.0+cu130"}, "(CUDA 13.0) needs NVIDIA driver >= 580, there it is 535.54"),
        (VOLTA, {"torch": "2.13.0+cu130"}, "no code for compute capability 7.0 (GPU)"),
        (VOLTA, {"torch": "2.13.0"}, "torch 2.13.0 has no code for compute capability 7.0"),
        (BLACKWELL, {"torch": "2.13.0+cu126"}, "no code for compute capability 12.0"),
        (NEWEST, {"torch": "2.13.0+cpu"}, "torch 2.13.0+cpu computes on the CPU alone, 1 GPU is asked for"),
        (NEWEST, {"torch": "2.13.0+cpu", "gpus": 8}, "8 GPUs are asked for"),
        (NEWEST, {"torch": "2.13.0+cu130", "ops": "cpu"}, "mimctl-ops 0.1.0+cpu: no CUDA code"),
        (NEWEST, {"torch": "2.13.0+cu130", "ops": "rocm"}, "mimctl-ops 0.1.0+rocm: built for ROCm"),
        (
            CPU,
            {"torch": "2.13.0+cpu", "gpus": 0, "tags": {"torch 2.13.0": ARM}},
            "torch 2.13.0 is a wheel for manylinux_2_28_aarch64",
        ),
        (
            node_of(platform="linux-old"),
            {"torch": "2.13.0+cpu", "gpus": 0, "tags": {"torch 2.13.0": X86, "mimctl-ops 0.1.0": NEW}},
            "mimctl-ops 0.1.0 is a wheel for manylinux_2_34_x86_64, the nodes are linux x86_64 (glibc 2.28)",
        ),
        (node_of(platform="linux-arm"), {"torch": "2.13.0+cpu", "gpus": 0}, "the nodes are linux aarch64"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(node, environment, cause):
    found = verdict(node, **environment)
    assert (found.code, found.exit_code) == ("unfit-partition", 3)
    assert cause in found.causes[0]
    assert "seen on n1, 2026-11-21 14:03 UTC" in found.causes[-1]
    assert any("mimctl env --partition p" in hint for hint in found.hints)


@pytest.mark.parametrize(
    ("node", "environment"),
    [
        (NEWEST, {"torch": "2.13.0+cu130"}),
        (NEWEST, {"torch": "2.13.0+cu130", "ops": "cu13"}),
        (OLD, {"torch": "2.13.0+cu126"}),
        (VOLTA, {"torch": "2.13.0+cu126"}),
        (BLACKWELL, {"torch": "2.8.0+cu128"}),
        (UNSEEN, {"torch": "2.13.0+cu130"}),
        (ROCM, {"torch": "2.13.0+rocm6.4"}),
        # What was built from source, or by others, may have code for more.
        (VOLTA, {"torch": "2.14.0a0+git123"}),
        (VOLTA, {"torch": "2.13.0", "origin": "conda"}),
        # On the CPU neither drivers nor GPUs matter.
        (CPU, {"torch": "2.13.0+cu130", "gpus": 0}),
        (CPU, {"torch": "2.13.0+cpu", "gpus": 0, "ops": "cpu"}),
        (OLD, {"torch": "2.13.0+cu130", "gpus": 0}),
        # Pure PyTorch was asked for.
        (NEWEST, {"torch": "2.13.0+cu130", "ops": "cpu", "asked": "python"}),
        (CPU, {"torch": None, "gpus": 0}),
        (CPU, {"torch": "2.13.0+cpu", "gpus": 0, "tags": {"torch 2.13.0": ("py3-none-any",), "mimctl-ops 0.1": ()}}),
    ],
)
def test_what_may_work_is_let_through(node, environment):
    assert verdict(node, **environment) is None


def test_operators_alone_are_no_reason_for_a_new_environment():
    hints = verdict(NEWEST, torch="2.13.0+cu130", ops="cpu").hints
    assert "`mimctl install mimctl-ops --for p`" in hints[0]
    assert any("MIMCTL_OPS=python" in hint for hint in hints)
    assert "python3 -m venv" in verdict(OLD, torch="2.13.0+cu130").hints[0]


def test_what_was_seen_is_kept_by_cluster_and_partition(tmp_path):
    document = {**to_plain(make_env(driver="580.1", gpus=("9.0",))), "node": "n7", "looked": "2026-11-21 14:03 UTC"}
    path = write_known(tmp_path, "alps", "gpu", document)
    assert read_known(tmp_path, "alps", "gpu").accelerator.driver == "580.1"
    assert read_known(tmp_path, "eiger", "gpu") is None
    assert read_known(tmp_path, "alps", "cpu") is None
    path.write_text(path.read_text()[:100])
    assert read_known(tmp_path, "alps", "gpu") is None


def test_names_of_clusters_and_partitions_lead_to_no_other_place(tmp_path):
    folder = tmp_path / "clusters"
    names = ("..", "../..", "a/b", "a%2fb", "ä", ".hidden", "a.b", "a b")
    paths = {write_known(folder, name, name, to_plain(make_env())) for name in names}
    assert len(paths) == len(names)
    assert all(path.resolve().parent.parent == folder for path in paths)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a workplace with a torch for CUDA 13, and what it was told; the cluster is `alps`."""
    monkeypatch.setenv("SLURM_CLUSTERS", "alps")
    (tmp_path / "site-packages/torch").mkdir(parents=True)
    (tmp_path / "site-packages/torch/version.py").write_text("__version__ = '2.13.0+cu130'\ncuda = '13.0'\n")
    told = []
    paths = (tmp_path / "site-packages",)
    found = Workplace(python=tmp_path / "bin/python", source="a test", paths=paths, plugins=(), note=told.append)
    return replace(found, nodes_dir=tmp_path / "clusters"), told


GPUS = LauncherFacts(kind="slurm", device="cuda", num_procs=4, num_nodes=2)


def test_of_several_partitions_one_has_to_fit(place):
    place, told = place
    for name, driver in (("old", "535.1"), ("older", "470.1"), ("new", "580.65")):
        write_known(place.nodes_dir, "alps", name, to_plain(make_env(driver=driver)))
    require_fit(GPUS, SlurmOptions(), ["old", "new"], place)
    require_fit(GPUS, SlurmOptions(), ["new"], place)
    assert told == []
    with pytest.raises(NoCompatibleBuildError, match="cannot work on partition `older`"):
        require_fit(GPUS, SlurmOptions(), ["older", "old"], place)
    require_fit(GPUS, SlurmOptions(), ["old", "unseen"], place)
    assert [text.partition(":")[0] for text in told] == ["nothing is known of the nodes of partition `unseen`"]


def test_a_job_is_not_resumed_where_it_can_no_longer_work(place, tmp_path, monkeypatch):
    place, _ = place
    commands = {
        "sinfo": "printf 'old|2|8|1000|gpu:4|n[1-2]\\nnew|2|8|1000|gpu:4|n[3-4]\\n'",
        "sbatch": "echo 12",
        "python": f'PYTHONPATH={place.paths[0]} exec {sys.executable} -S "$@"',
    }
    place.python.parent.mkdir(exist_ok=True)
    for name, line in commands.items():
        (place.python.parent / name).write_text(f"#!/bin/sh\n{line}\n")
        (place.python.parent / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place.python.parent}:{os.environ['PATH']}")
    for name, driver in (("old", "535.1"), ("new", "580.65")):
        write_known(place.nodes_dir, "alps", name, to_plain(make_env(driver=driver)))
    book = RunBook(tmp_path / "runs")

    def submit_again(partition, python):
        request = RunRequest(
            action="train", plugin="det", package="mimctl_det", entry="a:b", python=python, run_dir=tmp_path / "run",
            launcher=GPUS, slurm=SlurmOptions(partition=partition),
        )  # fmt: skip
        plan = make_plan(request)
        plan.run_dir.mkdir(exist_ok=True)
        (plan.run_dir / "resume.json").write_text(plan.spec.to_json())
        (plan.run_dir / "job.sbatch").write_text(plan.script)
        (plan.run_dir / "exit_code").write_text("1")
        record = replace(record_of(plan, "abcdef", "net"), job_id="11")
        return resume(record, book, detach=True, listener=None, nodes_dir=place.nodes_dir)

    with pytest.raises(NoCompatibleBuildError, match="cannot work on partition `old`"):
        submit_again("old", place.python)
    assert (tmp_path / "run/exit_code").exists()
    assert submit_again("new", place.python)[1].job_id == "12"


def test_a_container_and_a_run_on_the_cpu_are_let_through(place):
    place, told = place
    write_known(place.nodes_dir, "alps", "old", to_plain(make_env(driver="535.1")))
    require_fit(GPUS, SlurmOptions(container=("apptainer", "exec", "x.sif")), ["old", "unseen"], place)
    require_fit(replace(GPUS, device="cpu"), SlurmOptions(), ["old", "unseen"], place)
    require_fit(GPUS, SlurmOptions(), [], place)
    assert told == []


def test_only_a_process_on_a_node_is_there():
    assert is_there("gpu", {"SLURM_JOB_PARTITION": "gpu", "SLURMD_NODENAME": "n1"})
    # The shell of salloc has the variables of its job and runs on the login node.
    assert not is_there("gpu", {"SLURM_JOB_PARTITION": "gpu"})
    assert not is_there("cpu", {"SLURM_JOB_PARTITION": "gpu", "SLURMD_NODENAME": "n1"})
    assert not is_there("gpu", {})


def test_a_look_asks_for_a_gpu_only_where_nodes_have_some():
    options = LookOptions(wait_s=5, account="vision", srun_args=("--reservation=a b",))
    line = srun_line("p", Path("/venv/bin/python"), options, has_gpus=True)
    assert line[:2] == ["srun", "--partition=p"]
    assert {"--gres=gpu:1", "--immediate=5", "--account=vision", "--reservation=a b"} <= set(line)
    assert line[line.index("--reservation=a b") + 1 :][:3] == ["/venv/bin/python", "-P", "-c"]
    assert not [each for each in srun_line("p", Path("/p"), LookOptions(), has_gpus=False) if "gpu" in each]


def test_a_torch_for_the_cpu_that_joins_on_a_login_node_is_told_of():
    login = replace(make_env(torch=None), slurm=Fact(value="/usr/bin/sbatch", source="PATH"))
    told = lambda env, tag="cpu", wish="auto": on_login_node(  # noqa: E731
        InstallPlan(
            target=env.target,
            environment=env,
            requested=("mimctl-det",),
            torch=TorchChange(version="2.13.0", tag=tag, reason="no NVIDIA driver was found") if tag else None,
            options=InstallOptions(torch=wish),
        )
    )
    assert "`mimctl env --partition P`" in told(login)
    said = replace(login, accelerator=Fact(value=login.accelerator.value, source="MIMCTL_DRIVER"))
    for env in (make_env(torch=None), said):
        assert told(env) is None
    assert told(login, wish="cpu") is told(login, tag="cu130") is told(login, tag=None) is None


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (CPU, "linux-x86_64-cpu-glibc2.36"),
        (NEWEST, "linux-x86_64-cu130-glibc2.36-driver580.65.06-sm9.0"),
        (OLD, "linux-x86_64-cu126-glibc2.36-driver535.54-sm8.0"),
        (UNSEEN, "linux-x86_64-cu130-glibc2.36-driver580.65.06"),
        (node_of(platform="linux-arm", driver="580.65.06"), "linux-aarch64-cu130-glibc2.36-driver580.65.06"),
        (ROCM, None),
        (node_of(platform="alpine"), None),
    ],
)
def test_a_node_has_the_words_that_locks_and_bundles_are_made_for(node, words):
    assert lock_words(node) == words
    if words is not None:
        assert cell_for(words, "3.11").environment.accelerator.value.driver == node.accelerator.driver


SINFO = "gpu*|6|64|512000|gpu:a100:4|g[1-6]\ngpu*|2|128|1031000|gpu:h100:8|h[1-2]\n"


def test_of_several_kinds_of_nodes_one_is_seen_and_that_is_said(mimctl_with, tmp_path):
    said = mimctl_with("env", "--partition", "gpu", "--account", "vision", "--srun-args", "--reservation='a b'")
    assert said.returncode == 0, said.stderr
    assert "warning: partition `gpu` has 2 kinds of nodes; " in said.stderr
    assert [line.split()[1] for line in said.stdout.splitlines() if line.startswith("nodes")] == ["g[1-6]:", "h[1-2]:"]
    line = (tmp_path / "srun.words").read_text().splitlines()
    assert {"--account=vision", "--reservation=a b", "--gres=gpu:1", "--immediate=60"} <= set(line)


def test_what_a_site_prints_around_the_answer_is_passed_over_and_its_refusal_is_told(mimctl_with, tmp_path):
    said = mimctl_with("env", "--partition", "gpu", BANNER="Welcome to the cluster!")
    assert said.returncode == 0, said.stderr
    said = mimctl_with("env", "--partition", "gpu", "--json", REFUSAL="srun: error: no account named")
    error = json.loads(said.stdout)["error"]
    assert (error["code"], error["causes"]) == ("slurm-refused", ["no account named"])
    for answer in (
        "mimctl-facts: ",
        'mimctl-facts: {"facts": {"gpus"',
        "mimctl-facts: []",
        "mimctl-facts: {}",
        "\033[2J",
    ):
        said = mimctl_with("env", "--partition", "gpu", ANSWER=answer)
        assert said.returncode == 1
        assert ("error[slurm-refused]" in said.stderr) or ("error[bad-facts]" in said.stderr)
        assert "\033" not in said.stderr
    assert json.loads(mimctl_with("env", "--partition", "gpu,cpu", "--json").stdout)["error"]["exit_code"] == 2


@pytest.fixture
def mimctl_with(tmp_path):
    """Return mimctl with commands of Slurm that say what a site's say; srun runs what it is given, here."""
    scripts = {
        "sinfo": f"cat <<'END'\n{SINFO}END",
        "scontrol": "echo 'ClusterName = alps'",
        "srun": f"""printf '%s\\n' "$@" > {tmp_path}/srun.words
if [ -n "$REFUSAL" ]; then echo "$REFUSAL" >&2; exit 1; fi
if [ -n "$ANSWER" ]; then echo "$ANSWER"; echo "$ANSWER" >&2; exit; fi
if [ -n "$BANNER" ]; then echo "$BANNER"; fi
while [ "${{1#--}}" != "$1" ]; do shift; done
exec "$@" """,
    }
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:/usr/bin:/bin",
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_PYTHON": sys.executable,
    }

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "mimctl", *words]
        return subprocess.run(
            argv, env={**environment, **more}, cwd=tmp_path, capture_output=True, text=True, timeout=240
        )

    return run
