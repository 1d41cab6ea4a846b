"""Weights that a queued job starts from outlive an emptied cache: a real Slurm, and a publisher that is gone."""

from __future__ import annotations

import hashlib
import io
import subprocess
from pathlib import Path

import torch
from login_node import Login
from static_server import serving


def test_a_job_that_waits_finds_its_weights_after_the_cache_was_cleaned(login: Login, tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"first.weight": torch.zeros(8, 2)}, stream)
    name = f"start-{hashlib.sha256(stream.getvalue()).hexdigest()[:8]}.pth"
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / name).write_bytes(stream.getvalue())
    own = {"MIMCTL_CACHE_DIR": str(tmp_path / "cache")}
    with serving(tmp_path / "served") as server:
        load_from = f"load_from={server.address}/{name}"
        queued = login.train("--gpus", 0, "--detach", "--sbatch-args", "--hold", "--cfg-options", load_from, **own)
    assert queued.returncode == 0, queued.stderr
    run = queued.stdout.strip()
    (weights,) = (tmp_path / "cache").rglob(name)

    for words in (("clean",), ("prune", "--days", 0)):
        done = login.mimctl("cache", *words, **own)
        assert done.returncode == 0, done.stderr
        assert f"kept `{name}`: run `{run}`" in done.stderr
    assert weights.is_file()
    job = login.status(run)["job_id"]
    subprocess.run(["scontrol", "release", job], env=login.environment, check=True)
    ended = login.wait(run, lambda each: each["state"] not in ("waiting", "running"))
    assert ended["state"] == "done", ended

    assert login.mimctl("cache", "clean", **own).returncode == 0
    assert not weights.exists()
