"""The commands of the page on several GPUs, typed in their order, with processes on the CPU in the place of GPUs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from login_node import Login
from page_reader import ROOT, Reader
from toy_toolbox import install_toolbox


def world_size(folder: Path) -> int:
    meta = torch.load(folder / "work_dirs/my/epoch_2.pth", weights_only=True)["meta"]
    return int(meta["world_size"])


EVALUATE = """\
import os
import sys

print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], *sys.argv[1:])
"""


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(site_with_toolbox(tmp_path))])
    desk = Login.at(tmp_path, PYTHONPATH=path)
    reader = Reader("train-on-several-gpus.md", desk)
    assert "gpus" in reader.types("mimctl env")
    for beginning in ("mimctl train det my.py", "CUDA_VISIBLE_DEVICES=2,3"):
        reader.types(beginning)
        assert world_size(tmp_path) == 2
    assert "learning rate scaled by 2: 8 samples a step, the config was made for 4" in reader.types("mimctl train")
    reader.types("mimctl train det my.py --gpus 0 --procs 2")
    assert world_size(tmp_path) == 2
    runs = len(list(tmp_path.glob("work_dirs/my/*/run.json")))
    assert "mimctl.engine.agent" in reader.types("mimctl train det my.py --gpus 4 --dry-run")
    assert len(list(tmp_path.glob("work_dirs/my/*/run.json"))) == runs, "nothing was started"
    assert "toy/count     12" in reader.types("mimctl test")
    assert reader.types("mimctl status").count("done") == runs + 1
    assert len(reader.types("mimctl logs last -n 5").splitlines()) == 5
    assert reader.types("mimctl logs last --rank 1")
    leave_alone(reader, desk)
    assert "evaluate" in reader.types("mimctl run my_toolbox")
    said = reader.types("mimctl run --gpus 4 my_toolbox evaluate").splitlines()
    assert {"rank 0 of 2 --threshold 0.5", "rank 1 of 2 --threshold 0.5"} <= set(said)
    reader.types("mimctl train det my.py --gpus 4 --cfg-options model_wrapper_cfg")
    assert not reader.left


def leave_alone(reader: Reader, desk: Login) -> None:
    config = desk.folder / "my.py"
    short = config.read_text()
    config.write_text(short.replace("max_epochs=2", "max_epochs=100000"))
    reader.types("mimctl train det my.py --gpus 4 --name night --detach")
    looking = reader.begins("mimctl logs -f night")
    assert looking.stdout is not None
    assert looking.stdout.readline()
    os.killpg(looking.pid, signal.SIGINT)
    looking.communicate(timeout=240)
    desk.wait("night", lambda each: each["state"] == "running" and bool(each["checkpoint"]))
    assert "cancelled" in reader.types("mimctl cancel night")
    desk.wait("night", lambda each: each["state"] == "cancelled")
    config.write_text(short)


def site_with_toolbox(folder: Path) -> Path:
    """Return a folder of an import path in which `my_toolbox` is installed, with a script."""
    site = folder / "site"
    site.mkdir()
    tools = install_toolbox(site, "my_toolbox") / "tools"
    tools.mkdir()
    (tools / "evaluate.py").write_text(EVALUATE)
    return site
