"""What an environment variable holds leaves in no request, and is in nothing that a command prints or writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from static_server import serving

SECRET = "s3cr3t-value"
CONFIG = """\
default_scope = 'toy'
token = '{{$TOKEN:none}}'
model = dict(type='ToyNet', width=4, mode='good')
train_dataloader = dict(dataset=dict(type='ToySet', note=token, notes=['{{$TOKEN:}}/x']))
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
"""
ADDRESSES = {
    "load_from": "load_from = '{server}/{{{{$TOKEN:}}}}.pth'",
    "f-string": "load_from = f'{server}/{{token}}.pth'",
    "init_cfg": "model.update(init_cfg=dict(type='Pretrained', checkpoint='{server}/' + token))",
    "data": "train_dataloader['dataset'].update(data_root='{server}/' + token)",
    "spelt out": (
        "x = ''\nfor c in token:\n    for k in 's3crt':\n        if k == c:\n            x += k\n"
        "load_from = '{server}/' + x"
    ),
    "base": "model.update(extra='{server}/' + token)",
}
COMMANDS = {
    "show": ("config", "show", "c.py"),
    "show as JSON": ("config", "show", "c.py", "--json"),
    "show as YAML": ("config", "show", "c.py", "--format", "yaml"),
    "show a part": ("config", "show", "c.py", "train_dataloader.dataset.note"),
    "show origins": ("config", "show", "c.py", "--origin"),
    "show origins as JSON": ("config", "show", "c.py", "--origin", "--json"),
    "write": ("config", "show", "c.py", "--out", "whole.py"),
    "write JSON": ("config", "show", "c.py", "--out", "whole.json"),
    "origin": ("config", "origin", "c.py", "train_dataloader"),
    "origin as JSON": ("config", "origin", "c.py", "token", "--json"),
    "diff": ("config", "diff", "c.py", "plain.py"),
    "diff as JSON": ("config", "diff", "c.py", "plain.py", "--json"),
    "lint": ("config", "lint", "c.py"),
    "dry run": ("train", "toy", "c.py", "--gpus", "0", "--dry-run"),
    "dry run as JSON": ("train", "toy", "c.py", "--gpus", "0", "--dry-run", "--json"),
    "train": ("train", "toy", "c.py", "--gpus", "0"),
    "train with changes": ("train", "toy", "c.py", "--gpus", "0", "--cfg-options", "train_cfg.max_epochs=3"),
    "train on data": ("train", "toy", "c.py", "--gpus", "0", "--data", "images", "--weights", "none"),
    "Slurm": ("train", "toy", "c.py", "--launcher", "slurm", "--gpus", "1"),
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def config(here: Path) -> Path:
    (here / "c.py").write_text(CONFIG)
    (here / "plain.py").write_text(CONFIG.replace("{{$TOKEN:none}}", "other"))
    (here / "images").mkdir()
    (here / "images" / "a.jpg").write_bytes(b"")
    return here / "c.py"


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_prints_or_writes_it(mimctl, toy, here, config, arguments):
    said = mimctl(*arguments, env={"TOKEN": SECRET})
    assert said.code in (0, 1), said.err
    assert SECRET not in said.out + said.err
    written = [path for path in here.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert written == []


@pytest.mark.parametrize("text", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_nothing_is_requested_at_an_address_that_holds_it(mimctl, toy, here, config, text, tmp_path):
    with serving(tmp_path) as server:
        config.write_text(CONFIG + text.format(server=server.address) + "\n")
        for command in (("train", "toy", "c.py", "--gpus", "0"), ("config", "lint", "c.py")):
            said = mimctl(*command, env={"TOKEN": SECRET})
            assert said.code != 0
            assert "environment-address" in said.out + said.err, said.err
            assert SECRET not in said.out + said.err
        assert server.asked == []
    assert not (here / "work_dirs").exists()


def test_a_run_gets_the_value(mimctl, toy, here, config):
    (toy / "entries.py").write_text(
        "def train(spec):\n    from mimctl.config import Config\n"
        "    c = Config.fromfile(spec.config, overrides=spec.overrides)\n"
        "    return {'length': len(c.token), 'last': len(c.train_dataloader.dataset.notes[0])}\n"
    )
    for extra in ((), ("--cfg-options", "train_cfg.max_epochs=3")):
        said = mimctl("train", "toy", "c.py", "--gpus", "0", "--json", *extra, env={"TOKEN": SECRET})
        assert said.code == 0, said.err
        assert f'"length": {len(SECRET)}' in said.out
        assert f'"last": {len(SECRET) + 2}' in said.out
