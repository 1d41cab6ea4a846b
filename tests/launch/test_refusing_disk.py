"""Runs of this machine on a disk that fills up, in a folder that may no longer be written to, or that is in use."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import TOY, Login

LONG = ("--cfg-options", "train_cfg.max_epochs=100000")


@pytest.fixture
def desk(tmp_path: Path) -> Login:
    shutil.copy(Path(__file__).parent.parent / "engine" / "toy_experiment.py", tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    environment = {**os.environ, "MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_PYTHON": sys.executable}
    return Login(tmp_path, {**environment, "OMP_NUM_THREADS": "1"})


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True).returncode != 0:
        pytest.skip("a disk of one's own needs root, and a right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 4096)


def begin(desk: Login, work_dir: Path) -> subprocess.Popen[str]:
    """Start a long training and wait until it has saved."""
    argv = desk.argv("train", "det", "toy.py", "--gpus", 0, "--work-dir", work_dir, *LONG)
    process = subprocess.Popen(
        argv, cwd=desk.folder, env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while not (work_dir / "last_checkpoint").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def test_a_disk_that_fills_up_is_told(desk: Login, small: Path) -> None:
    process = begin(desk, small / "run")
    fill(small)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 1
    assert told.count("error[disk-full]") == 1
    assert "--work-dir" in told
    assert "Traceback" not in told
    refused = desk.mimctl("train", "det", "toy.py", "--gpus", 0, "--work-dir", small / "other")
    assert refused.returncode == 1
    assert f"error[disk-full]: no space left to write `{small}/other/" in refused.stderr


def test_a_folder_that_may_no_longer_be_written_to_is_told(desk: Login, tmp_path: Path) -> None:
    process = begin(desk, tmp_path / "run")
    run_dir = Path(desk.status("last")["run_dir"])
    folders = [tmp_path / "run", run_dir]
    argv = ["chattr", "+i", *map(str, folders)]
    if shutil.which("chattr") is None or subprocess.run(argv, capture_output=True).returncode != 0:
        process.kill()
        pytest.skip("no folder can be made unchangeable here")
    try:
        _, told = process.communicate(timeout=240)
        assert process.returncode == 1
        assert told.count("error[no-permission]") == 1
        assert f"no permission for `{tmp_path}/run" in told
        assert "--work-dir" in told
        state = desk.status("last")
        assert (state["error"]["code"], state["resumable"]) == ("no-permission", True)
    finally:
        subprocess.run(["chattr", "-i", *map(str, folders)], check=True)


def test_a_second_run_in_a_work_dir_is_refused_and_leaves_the_first_alone(desk: Login, tmp_path: Path) -> None:
    process = begin(desk, tmp_path / "run")
    second = desk.mimctl("train", "det", "toy.py", "--gpus", 0, "--work-dir", "run")
    assert second.returncode == 1
    assert "error[work-dir-in-use]" in second.stderr
    assert desk.status("last")["state"] == "failed"
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=240)
    assert process.returncode == 143
