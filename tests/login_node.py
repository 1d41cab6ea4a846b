"""mimctl as people call it on the login node of a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patience import wait_until

TOY = """\
custom_imports = dict(imports=["toy_experiment"])
model = dict(type="ToyModel")
train_dataloader = dict(
    dataset=dict(type="ToyData", size=64), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=4
)
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05))
default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    checkpoint=dict(type="CheckpointHook", interval=1),
    logger=dict(type="LoggerHook", interval=4),
)
randomness = dict(seed=7)
"""

VALIDATION = """
val_dataloader = dict(
    dataset=dict(type="ToyData"), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=4
)
val_evaluator = dict(type="ToyMetric")
val_cfg = dict()
"""


@dataclass(frozen=True)
class Login:
    """A user on the login node, in a folder with a toy experiment."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path, **more: str) -> Login:
        """Return a user with an own home in `folder`, where the experiment lies; `more` are variables of the shell."""
        shutil.copy(Path(__file__).parent / "engine" / "toy_experiment.py", folder)
        (folder / "toy.py").write_text(TOY)
        own = {"MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
        return cls(folder, {**os.environ, **own, **more})

    def argv(self, *words: object) -> list[str]:
        return [sys.executable, "-P", "-m", "mimctl", *map(str, words)]

    def mimctl(self, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **more}
        return subprocess.run(
            self.argv(*words), cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240
        )

    def train(self, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
        return self.mimctl("train", "det", "toy.py", "--launcher", "slurm", "--cpus-per-task", 1, *words, **more)

    def status(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.mimctl("status", run, "--json").stdout)
        return found

    def wait(self, run: str, is_there: Callable[[dict[str, Any]], bool], seconds: float = 240) -> dict[str, Any]:
        """Wait until the run's status is as wanted, and return it."""
        deadline = time.monotonic() + seconds
        while not is_there(found := self.status(run)):
            assert time.monotonic() < deadline, found
            time.sleep(0.3)
        return found

    def job_env(self, job: str) -> str:
        done = subprocess.run(["scontrol", "show", "job", job], env=self.environment, capture_output=True, text=True)
        return done.stdout

    def take_nodes(self, seconds: int = 4) -> None:
        """Take all of both nodes for some seconds, from a partition that comes first: other jobs are preempted."""
        script = self.folder / "blocker.sh"
        script.write_text(f"#!/bin/bash\nsleep {seconds}\n")
        argv = ["sbatch", "-p", "high", "-N2", "--exclusive", "-o", "/dev/null", str(script)]
        subprocess.run(argv, env=self.environment, check=True, capture_output=True)

    def wait_until_forgotten(self, job: str) -> None:
        """Wait until Slurm's controller knows a job no more."""
        argv = ["squeue", "-h", "-t", "all", "-j", job]
        wait_until(lambda: not subprocess.run(argv, env=self.environment, capture_output=True).stdout)
