"""A run uses what environment variables hold and leaves it in nothing that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimctl.config import Config
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError

SECRET = "s3cr3t-value"
TEXT = """\
token = '{{$TOKEN:none}}'
model = dict(type='ToyModel')
loader = dict(dataset=dict(type='ToyData', size=8), sampler=dict(type='DefaultSampler', shuffle=True), batch_size=4,
    num_workers=0)
train_dataloader = loader
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1), logger=dict(type='LoggerHook', interval=1))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
notes = ['{{$TOKEN:}}/x']
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.py"
    path.write_text(TEXT)
    return path


def test_a_run_writes_what_was_written(config: Path, tmp_path: Path) -> None:
    runner = Runner.from_cfg(Config.fromfile(config, overrides={"work_dir": str(tmp_path / "run")}))
    runner.train()
    assert runner.cfg["token"] == SECRET
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.suffix == ".pth" for path in written)
    assert [path.name for path in written if SECRET.encode() in path.read_bytes()] == []
    checkpoint = torch.load(next(path for path in written if path.suffix == ".pth"), weights_only=True)
    assert "{{$TOKEN:none}}" in checkpoint["meta"]["cfg"]
    assert Config.fromstring(checkpoint["meta"]["cfg"]).token == SECRET


def test_no_runner_reads_from_an_address_that_holds_it(config: Path) -> None:
    config.write_text(TEXT + "train_dataloader['dataset']['data_root'] = 'http://127.0.0.1:9/' + token\n")
    with pytest.raises(ConfigError) as caught:
        Runner.from_cfg(Config.fromfile(config))
    assert caught.value.code == "environment-address"
    assert str(caught.value.origin).endswith(":11")
