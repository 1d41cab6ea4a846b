"""The commands of the page on several GPUs, typed in their order, with processes on the CPU in the place of GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from login_node import Login
from page_reader import Reader

ON_THE_CPU = {"--gpus 4": "--gpus 0 --procs 2", "--gpus 2": "--gpus 0 --procs 2"}


def world_size(folder: Path) -> int:
    meta = torch.load(folder / "work_dirs/my/epoch_2.pth", weights_only=True)["meta"]
    return int(meta["world_size"])


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    reader = Reader("train-on-several-gpus.md", Login.at(tmp_path), ON_THE_CPU)
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
    reader.types("mimctl train det my.py --gpus 4 --cfg-options model_wrapper_cfg")
    assert not reader.left
