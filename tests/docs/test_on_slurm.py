"""The commands of the pages about Slurm, typed in their order on the login node of a real one.

Its nodes have no GPUs that compute, so processes on the CPU stand for them, and its partitions are called otherwise.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from login_node import Login
from mini_slurm import empty_queue
from page_reader import WITHOUT_GPUS, Reader
from patience import wait_until

HERE = {**WITHOUT_GPUS, "alpha.partition gpu": "mimctltest.partition low", "alpha.setup": "mimctltest.setup"}
SLOWLY = 'custom_hooks = [dict(type="Trouble", kind="slow", at=0)]\n'  # half a second an iteration


@pytest.fixture
def login(cluster: dict[str, str], tmp_path: Path) -> Iterator[Login]:
    yield Login.at(tmp_path, **cluster)
    empty_queue(cluster)


@pytest.mark.slow
def test_the_page_on_slurm_does_what_it_says(login: Login) -> None:
    reader = Reader("train-on-slurm.md", login, HERE)
    assert "running on n" in reader.types("mimctl train")
    meta = torch.load(login.folder / "work_dirs/my/epoch_2.pth", weights_only=True)["meta"]
    assert meta["world_size"] == 2
    assert "of partition" in reader.types("mimctl env --partition gpu")
    script = reader.types("mimctl train det my.py --gpus 16")
    assert "#SBATCH --nodes=2" in script
    assert "#SBATCH --time=12:00:00" in script
    job = reader.types("sbatch work_dirs/my/*/job.sbatch").split()[-1]
    wait_until(lambda: "JobState=COMPLETED" in login.job_env(job))
    _submit_and_leave(reader, login)
    reader.types("mimctl train det my.py --gpus 8 --launcher slurm -p gpu -c 4")
    told = login.job_env(login.status("last")["job_id"])
    assert {"CPUs/Task=4", "Comment=my", "MinMemoryNode=6G"} <= set(told.split())
    login.wait("last", lambda each: each["state"] == "done")
    _set_what_is_typed_each_time(reader, login)
    assert "checkpoint" in reader.types("mimctl train det my.py --gpus 2 --launcher slurm --partition gpu --foreground")
    assert "toy/count     12" in reader.types("mimctl test")
    assert not reader.left


@pytest.mark.slow
def test_the_page_on_preemption_does_what_it_says(login: Login) -> None:
    reader = Reader("go-on-after-a-preemption.md", login)
    config = login.folder / "my.py"
    config.write_text(config.read_text().replace("max_epochs=2", "max_epochs=4") + SLOWLY)
    reader.types("mimctl train det my.py")
    login.wait("long", lambda each: bool(each["step"]))
    login.take_nodes()
    job = login.status("long")["job_id"]
    wait_until(lambda: "Restarts=1" in login.job_env(job))
    login.wait("long", lambda each: each["slurm_state"] == "RUNNING")
    assert "running" in reader.types("mimctl status long")
    reader.types("mimctl cancel long")
    stopped = login.wait("long", lambda each: each["state"] == "cancelled")
    assert stopped["resumable"]
    reader.types("mimctl resume long")
    login.wait("long", lambda each: each["state"] == "done")
    meta = torch.load(login.folder / "work_dirs/my/epoch_4.pth", weights_only=True)["meta"]
    assert meta["iter"] == 4 * 8
    assert "#SBATCH --signal=USR2@300" in reader.types("mimctl train")
    assert "#SBATCH" in reader.types("mimctl train")
    _be_terminated_at_a_desk(reader, login)
    assert not reader.left


def _be_terminated_at_a_desk(reader: Reader, login: Login) -> None:
    training = reader.begins("mimctl train det my.py --gpus 1 --name desk && mimctl test")
    login.wait("desk", lambda each: bool(each.get("step")))  # it may not be written down yet
    assert login.mimctl("cancel", "desk").returncode == 0
    told, _ = training.communicate(timeout=240)
    assert training.returncode == 143, told
    assert "test:" not in told
    assert "epoch_4.pth" in reader.types("mimctl resume desk")


def _set_what_is_typed_each_time(reader: Reader, login: Login) -> None:
    reader.types("mimctl train det my.py --gpus 8 --launcher slurm -p gpu --setup")
    login.wait("last", lambda each: each["state"] == "done")
    assert "apptainer exec --nv my.sif" in reader.types("mimctl train det my.py --gpus 8 --launcher slurm -p gpu")
    reader.types("mimctl settings set")
    reader.types("mimctl settings set")
    assert "clusters.mimctltest.partition" in reader.types("mimctl settings show")
    script = reader.types("mimctl train det my.py --gpus 8 --launcher slurm --dry-run")
    assert "#SBATCH --partition=low" in script
    assert script.index("module load cuda/13") < script.index("export NCCL_SOCKET_IFNAME=ib0") < script.index("\nsrun ")
    assert login.mimctl("settings", "unset", "clusters.mimctltest.setup").returncode == 0  # there is no `module` here


def _submit_and_leave(reader: Reader, login: Login) -> None:
    config = login.folder / "my.py"
    short = config.read_text()
    config.write_text(short.replace("max_epochs=2", "max_epochs=100000"))
    reader.types("mimctl train det my.py")
    assert "night" in reader.types("mimctl status")
    login.wait("night", lambda each: bool(each["checkpoint"]))
    assert "running" in reader.types("mimctl status night")
    looking = reader.begins("mimctl logs -f night")
    assert looking.stdout is not None
    assert looking.stdout.readline()
    os.killpg(looking.pid, signal.SIGINT)
    assert looking.wait(240) == 130
    assert "cancelled" in reader.types("mimctl cancel night")
    login.wait("night", lambda each: each["state"] == "cancelled")
    reader.types("mimctl resume night --detach")
    assert login.status("night")["state"] in ("waiting", "running")
    assert login.mimctl("cancel", "night").returncode == 0
    login.wait("night", lambda each: each["state"] == "cancelled")
    config.write_text(short)
