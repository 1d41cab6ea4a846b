"""From a bundle to a trained model on a machine without a network: the real mimctl, toolbox and torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_tutorial import ROOT, SCRIPT, SHORT

_HAS_NAMESPACES = (
    shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(not _HAS_NAMESPACES, reason="`unshare -rn` is not permitted here")
def test_a_bundle_installs_and_trains_where_there_is_no_route(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MIMCTL_")}
    environment |= {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}

    def mimctl(*arguments: str) -> None:
        argv = [sys.executable, "-m", "mimctl", *arguments]
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    counts = ["--train", "16", "--val", "4", "--test", "4", "--size", "96"]
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "digits"), *counts], check=True, capture_output=True)
    mimctl("wheels", "build", "ops-python", "mimctl", "mimctl-det", "--out", str(tmp_path / "wheels"))
    sources = ["--toolboxes", "index/toolboxes.yaml", "--matrix", "wheels-matrix.yaml"]
    mimctl("index", "build", "--wheels", str(tmp_path / "wheels"), "--out", str(tmp_path / "site"), *sources)
    bundle, data = tmp_path / "usb" / "det", str(tmp_path / "digits")
    mimctl("bundle", str(bundle), "det", "--index", str(tmp_path / "site"), "--torch", "2.13.0+cpu", "--dataset", data)
    shutil.rmtree(tmp_path / "cache")

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "data").symlink_to(bundle / "data")
    train = f".venv/bin/mimctl train det rtmdet_nano_digits --gpus 0 --epochs 1 --weights none {' '.join(SHORT)}"
    script = f'set -e; ! ip route 2>/dev/null | grep .; sh "{bundle}/install.sh"; {train}'
    bare = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path / "there"),
        "OMP_NUM_THREADS": "1",
    }
    bare["PYTHON"] = sys.executable
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", script],
        cwd=tmp_path / "there",
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "there" / "work_dirs" / "rtmdet_nano_digits"
    assert Path((run / "last_checkpoint").read_text().strip()).name == "epoch_1.pth"
