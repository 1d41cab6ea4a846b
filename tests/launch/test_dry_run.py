"""`--dry-run` says what would be started without torch, with every launcher, and writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT, install_toolbox

CODE = """
import atexit, sys
sys.argv = ["mimctl", *sys.argv[1:]]
atexit.register(lambda: open("../modules", "w").write(" ".join(sys.modules)))
from mimctl.__main__ import main
sys.exit(main())
"""
HEAVY = {"torch", "numpy", "cv2", "mimctl.engine", "mimctl.vision"}


LAUNCHERS = {
    "one process": ("--gpus", "0"),
    "ranks": ("--procs", "2"),
    "nodes": (
        "--launcher",
        "pytorch",
        "--procs",
        "4",
        "--nnodes",
        "2",
        "--node-rank",
        "0",
        "--rdzv-endpoint",
        "h:29500",
    ),
    "job": ("--launcher", "slurm", "--gpus", "8", "--gpus-per-node", "4", "--partition", "p"),
    "elastic job": ("--launcher", "slurm", "--procs", "2", "--elastic"),
    "watched job": ("--launcher", "slurm", "--gpus", "2", "--foreground"),
}


@pytest.mark.parametrize(
    ("verb", "launcher"),
    [
        *(("train", each) for each in LAUNCHERS),
        ("test", "job"),
        ("infer", "ranks"),
        ("sweep", "one process"),
        ("sweep", "job"),
    ],
)
def test_no_launcher_needs_torch_to_say_what_it_would_start(tmp_path: Path, verb: str, launcher: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "site").mkdir()
    config = install_toolbox(tmp_path / "site", "toy") / "configs/nets/toy_small.py"
    (tmp_path / "w.pth").write_bytes(b"")
    (tmp_path / "a.jpg").write_bytes(b"")
    words = {
        "train": ("toy_small",),
        "test": ("toy_small", "-C", "../w.pth"),
        "infer": ("../w.pth", "../a.jpg", "--config", str(config)),
        "sweep": ("toy_small", "--grid", "model.width=1,2"),
    }
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "site")]),
        "MIMCTL_PYTHON": sys.executable,
        "MIMCTL_HOME": str(tmp_path / "home"),
        "PATH": str(tmp_path),  # there is no Slurm to be asked
    }
    argv = [sys.executable, "-P", "-c", CODE, verb, "toy", *words[verb], *LAUNCHERS[launcher], "--dry-run", "--json"]
    done = subprocess.run(argv, cwd=here, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["command"] == verb
    assert HEAVY.isdisjoint((tmp_path / "modules").read_text().split())
    assert list(here.iterdir()) == []
