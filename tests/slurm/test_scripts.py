"""Scripts as jobs of a real Slurm: what each rank finds in its environment, how they end, mim's own lines."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from login_node import Login
from mim_package import fake_torch, install, make_venv, write_package
from tiny_model import write_model
from toy_scripts import SAY, add_scripts
from toy_toolbox import ROOT, install_toolbox

SLURM = ("run", "--launcher", "slurm", "--cpus-per-task", 1)


@pytest.fixture
def desk(login: Login, tmp_path: Path) -> Login:
    """A user whose environment has the toolbox `toy`, with scripts."""
    site = tmp_path / "site"
    site.mkdir()
    add_scripts(install_toolbox(site, "toy"))
    here = tmp_path / "here"
    here.mkdir()
    return Login(here, {**login.environment, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])})


def said(folder: Path) -> dict[str, dict[str, object]]:
    """Return what each rank has written down, by its number."""
    paths = sorted(folder.glob("said-*.json"))
    return {path.stem.partition("-")[2]: json.loads(path.read_text()) for path in paths}


def test_each_rank_gets_its_place_and_the_gpus_of_its_node(desk: Login) -> None:
    done = desk.mimctl(*SLURM, "--gpus", 4, "--gpus-per-node", 2, "toy", "say", "a b", RANK="9")
    assert done.returncode == 0, done.stderr
    told = said(desk.folder)
    assert sorted(told) == ["0", "1", "2", "3"]
    assert [each["LOCAL_RANK"] for each in told.values()] == ["0", "1", "0", "1"]
    assert [each["host"] for each in told.values()] == ["n1", "n1", "n2", "n2"]
    assert {each["WORLD_SIZE"] for each in told.values()} == {"4"}
    assert {each["gpus"] for each in told.values()} == {"0,1"}
    assert {each["MASTER_ADDR"] for each in told.values()} == {"n1"}
    assert len({each["MASTER_PORT"] for each in told.values()}) == 1
    assert all(each["argv"] == ["a b"] and each["name"] == "__main__" for each in told.values())
    state = desk.status("last")
    assert (state["name"], state["action"], state["plugin"], state["state"]) == ("say", "run", "toy", "done")
    assert Path(state["run_dir"]).parent == desk.folder / "work_dirs/say"
    assert "rank 3: out to all" in desk.mimctl("logs", "last").stdout


def test_ranks_on_the_cpu_see_no_gpu_and_meet_over_two_nodes(desk: Login) -> None:
    done = desk.mimctl(*SLURM, "--procs", 2, "--nodes", 2, "toy", "say", "--meet")
    assert done.returncode == 0, done.stderr
    assert [each["gpus"] for each in said(desk.folder).values()] == ["", ""]
    assert [(desk.folder / f"met-{rank}").read_text() for rank in (0, 1)] == ["2.0", "2.0"]


def test_the_exit_code_of_the_rank_that_failed_is_ours(desk: Login) -> None:
    done = desk.mimctl(*SLURM, "--procs", 2, "toy", "say", "--exit", 7, 1)
    assert done.returncode == 7
    assert done.stderr.count("error[script-failed]: `say` of `toy` ended with exit code 7\n") == 1
    assert "on rank 1" in done.stderr
    assert (desk.status("last")["state"], desk.status("last")["error"]["exit_code"]) == ("failed", 7)


def test_a_watched_script_prints_to_our_own_streams(desk: Login) -> None:
    done = desk.mimctl(*SLURM, "--procs", 2, "--foreground", "--name", "seen", "toy", "say")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0: out to all", "rank 1: out to all"]
    assert "rank 1: err" in done.stderr
    assert "rank 0: out to all" in desk.mimctl("logs", "seen").stdout
    failed = desk.mimctl(*SLURM, "--procs", 2, "--foreground", "toy", "say", "--exit", 7, 1)
    assert failed.returncode == 7


def test_a_script_goes_on_by_itself_and_is_cancelled(desk: Login) -> None:
    run = desk.mimctl(*SLURM, "--gpus", 0, "--detach", "toy", "say", "--long").stdout.strip()
    desk.wait(run, lambda each: (desk.folder / "long-0").exists())
    assert desk.status(run)["state"] == "running"
    assert desk.mimctl("cancel", run).returncode == 0
    desk.wait(run, lambda each: each["state"] == "cancelled")


def test_a_script_that_is_queued_again_begins_anew(desk: Login) -> None:
    run = desk.mimctl(*SLURM, "--gpus", 0, "--detach", "toy", "say", "--long").stdout.strip()
    state = desk.wait(run, lambda each: (desk.folder / "long-0").exists())
    (desk.folder / "long-0").unlink()
    subprocess.run(["scontrol", "requeue", state["job_id"]], env=desk.environment, check=True)
    desk.wait(run, lambda each: (desk.folder / "long-0").exists())
    assert "Restarts=1" in desk.job_env(state["job_id"])
    assert desk.mimctl("cancel", run).returncode == 0


def test_inference_is_a_job_too(login: Login, tmp_path: Path) -> None:
    checkpoint, pictures = write_model(tmp_path)
    line = ("infer", "cls", checkpoint, *pictures, "-l", "slurm", "-c", 1, "--procs", 2, "--nodes", 2, "--json")
    done = login.mimctl(*line, "--out-dir", "seen")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["images"]
    assert [each["path"] for each in found] == list(map(str, pictures))
    assert all(Path(each["picture"]).parent == tmp_path / "seen" for each in found)
    assert login.status("last")["action"] == "infer"


@pytest.fixture
def packages(login: Login, tmp_path: Path) -> Login:
    """A user whose environment has the package `mmtoy`, and nothing of ours."""
    python = make_venv(tmp_path / "venv")
    script = SAY.replace("import beside\n", "").replace("beside.WORD", "'to all'")
    changes = {".mim/tools/say.py": script, ".mim/tools/train.py": script}
    install(python, write_package(tmp_path / "wheels", changes=changes), fake_torch(tmp_path / "wheels"))
    here = tmp_path / "here"
    here.mkdir()
    return Login(here, {**login.environment, "MIMCTL_PYTHON": str(python)})


def test_a_packages_script_needs_nothing_of_ours_on_the_nodes(packages: Login) -> None:
    done = packages.mimctl(*SLURM, "--gpus", 2, "--gpus-per-node", 1, "mmtoy", "say", "x")
    assert done.returncode == 0, done.stderr
    told = said(packages.folder)
    assert [each["host"] for each in told.values()] == ["n1", "n2"]
    assert [(each["WORLD_SIZE"], each["LOCAL_RANK"], each["MASTER_ADDR"]) for each in told.values()] == [
        ("2", "0", "n1")
    ] * 2
    assert {each["gpus"] for each in told.values()} == {"0"}
    assert sorted(done.stdout.splitlines()) == ["rank 0: out to all", "rank 1: out to all"]


def test_mims_line_trains_on_the_nodes(packages: Login) -> None:
    options = ("-l", "slurm", "-G", 2, "-g", 2, "-c", 1, "-p", "high", "--srun-args", "--comment='two words'")
    done = packages.mimctl("train", "mmtoy", "net_s_1x_coco", *options, "--amp")
    assert done.returncode == 0, done.stderr
    (told,) = said(packages.folder).values()  # mmengine reads srun's own variables
    assert re.search(r"net_s_1x_coco\.py$", told["argv"][0])
    assert told["argv"][1:] == ["--launcher", "slurm", "--amp"]
    assert told["gpus"] == "0,1"
    state = packages.status("last")
    assert (state["action"], state["plugin"], state["state"]) == ("train", "mm-toy-suite", "done")
    assert "scripts of its own" in packages.mimctl("resume", "last").stderr
    made = ("--setup", "export CUDA_VISIBLE_DEVICES=9", "--container", "env MASTER_ADDR=inside")
    assert packages.mimctl("train", "mmtoy", "net_s_1x_coco", *options, *made).returncode == 0
    assert [(each["gpus"], each["MASTER_ADDR"]) for each in said(packages.folder).values()][-1] == ("9", "inside")
