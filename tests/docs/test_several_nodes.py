"""The commands of the page on several nodes: two agents on this machine stand for two nodes that share a disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from login_node import Login
from loopback import free_ports
from page_reader import WITHOUT_GPUS, Reader

ONCE = """\
from pathlib import Path

from mimctl.engine.hooks import Hook
from mimctl.engine.registry import HOOKS


@HOOKS.register_module()
class FailsOnce(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.rank == 1 and runner.iter == 12 and not Path("failed").exists():
            Path("failed").touch()
            raise OSError("the file server was gone for a moment")
"""


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(cluster: dict[str, str], tmp_path: Path) -> None:
    [port] = free_ports(1)
    here = {**WITHOUT_GPUS, "node0:29400": f"127.0.0.1:{port}"}
    reader = Reader("train-on-several-nodes.md", Login.at(tmp_path, **cluster), here)
    type_on_both_nodes(reader)
    assert trained(tmp_path) == (2, 16)
    config = tmp_path / "my.py"
    config.write_text(config.read_text().replace("max_epochs=2", "max_epochs=3"))
    assert "resumed from" in type_on_both_nodes(reader)
    assert trained(tmp_path) == (2, 24)
    (tmp_path / "once.py").write_text(ONCE)
    text = config.read_text().replace('["toy_experiment"]', '["toy_experiment", "once"]')
    config.write_text(text + 'custom_hooks = [dict(type="FailsOnce")]\n')
    assert "the file server was gone" in reader.types("mimctl train det my.py --gpus 2 --max-restarts 2")
    assert trained(tmp_path) == (2, 24)
    reader.types("mimctl train det my.py --gpus 16 --launcher slurm")
    assert trained(tmp_path) == (2, 24)
    assert not reader.left


def type_on_both_nodes(reader: Reader) -> str:
    """Type the page's next two commands at about the same time, and return what the first one printed."""
    first = reader.begins("mimctl train det my.py --gpus 8 --nnodes 2 --node-rank 0")
    reader.types("mimctl train det my.py --gpus 8 --nnodes 2 --node-rank 1")
    told, _ = first.communicate(timeout=240)
    assert first.returncode == 0, told
    return told


def trained(folder: Path) -> tuple[int, int]:
    """Return how many ranks have trained, and how many steps."""
    path = Path((folder / "work_dirs/my/last_checkpoint").read_text().strip())
    meta = torch.load(path, weights_only=True)["meta"]
    return meta["world_size"], meta["iter"]
