"""The commands of the page on clusters without a network: packed here, installed and trained where no way leads out."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from login_node import Login
from mini_slurm import mini_slurm, require_slurm
from page_reader import ROOT, Reader
from small_tutorial import SCRIPT, SHORT

CLONE_NEWNET = 0x40000000


def where_no_route_leads_out(work: Callable[[], None]) -> None:
    """Do `work` in a process whose only network is a loopback of its own.

    It has an address besides 127.0.0.1, for without one getaddrinfo(3) finds none, and Slurm's controller ends.
    """

    def inside() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for words in ("link set lo up", "address add 198.51.100.1/32 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        assert subprocess.run(["ip", "route"], capture_output=True, text=True).stdout == ""
        work()

    process = multiprocessing.get_context("fork").Process(target=inside)
    process.start()
    process.join()
    assert process.exitcode == 0, "see above for what it printed"


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    require_slurm()
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MIMCTL_")}
    environment |= {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}
    build_index(tmp_path, environment)
    project = tmp_path / "project"
    project.mkdir()
    here = {
        "/project/me": str(project),
        "--for linux-x86_64-cu13 --python 3.11": "--torch 2.13.0+cpu",
        "--gpus 8": f"--gpus 0 --epochs 1 {' '.join(SHORT)}",
        "--partition gpu": "--partition low",
    }
    desk = Login.at(tmp_path, **environment, MIMCTL_INDEX_URL=str(tmp_path / "site"))
    reader = Reader("train-on-an-air-gapped-cluster.md", desk, here)
    reader.types("mimctl bundle")
    for name in ("cache", "home", "programs"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)

    def on_the_cluster() -> None:
        # A name of few letters: a socket's path has at most 107.
        with tempfile.TemporaryDirectory() as short, mini_slurm(Path(short)) as cluster:
            # Nothing of the machine that packed is there: neither its settings nor its import path.
            bare = {
                "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(tmp_path),
                "OMP_NUM_THREADS": "1",
                "PYTHON": sys.executable,
            }
            reader.environment = {**bare, **cluster}
            install_and_train(reader, tmp_path)

    where_no_route_leads_out(on_the_cluster)
    assert Path((tmp_path / "work_dirs/rtmdet_nano_digits/last_checkpoint").read_text().strip()).name == "epoch_1.pth"


def build_index(folder: Path, environment: dict[str, str]) -> None:
    """Build the index that the page's reader has at hand, and the data."""
    wheels, site = str(folder / "wheels"), str(folder / "site")
    sources = ["--toolboxes", "index/toolboxes.yaml", "--matrix", "wheels-matrix.yaml"]
    for words in (
        ["-m", "mimctl", "wheels", "build", "ops-python", "mimctl", "mimctl-det", "--out", wheels],
        ["-m", "mimctl", "index", "build", "--wheels", wheels, "--out", site, *sources],
        [str(SCRIPT), str(folder / "data/digits"), "--train", "16", "--val", "4", "--test", "4", "--size", "96"],
    ):
        done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def install_and_train(reader: Reader, folder: Path) -> None:
    reader.types("cp -r")
    reader.types("sh ")
    for beginning in ("export PATH", "export MIMCTL_HOME", "mimctl settings set offline", "mimctl settings set index"):
        reader.types(beginning)
    assert "det" in reader.types("mimctl list")
    reader.types("mimctl env --partition")
    shutil.rmtree(folder / "data")
    reader.types("ln -s")
    assert "running on n" in reader.types("mimctl train det rtmdet_nano_digits")
    assert "done" in reader.types("mimctl status last")
    assert not reader.left
