"""Weights that a config names by a short name: found before anything starts, fetched through a mirror, handed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from static_server import serving

NAME = "open-mmlab://mmedit/mobilenet_v2"
PATH = "mmediting/third_party/mobilenet_v2.pth"
CONFIG = """\
default_scope = 'toy'
model = dict(
    type='ToyNet',
    width=4,
    mode='good',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='{}'))
"""


@pytest.fixture
def toy_with_init_cfg(toy: Path) -> Path:
    table = toy / "types.json"
    table.write_text(table.read_text().replace('"mode":', '"init_cfg": {"required": false}, "mode":'))
    return toy


def write_config(folder: Path, name: str) -> Path:
    path = folder / "my config.py"
    path.write_text(CONFIG.format(name))
    return path


@pytest.mark.parametrize("verb", [("config", "lint"), ("train", "toy")])
def test_unknown_name_is_refused_with_its_line_before_anything_starts(mimctl, toy_with_init_cfg, tmp_path, verb):
    config = write_config(tmp_path, "torchvision://resnet5O")
    said = mimctl(*verb, config)
    assert (said.code, said.out) == (2, "")
    assert "error[unknown-weights-address]: no published weights go by the name `torchvision://resnet5O`" in said.err
    assert f"--> {config}:8" in said.err
    assert "did you mean `torchvision://resnet50`" in said.err
    assert not (tmp_path / "here" / "work_dirs").exists()


def test_offline_says_which_file_is_missing(mimctl, toy_with_init_cfg, tmp_path):
    config = write_config(tmp_path, "torchvision://resnet50")
    said = mimctl("train", "toy", config, "--gpus", "0", env={"MIMCTL_OFFLINE": "1"})
    assert said.code == 4, said.err
    assert "resnet50-0676ba61.pth" in said.err


@pytest.mark.parametrize("how", ["the config", "--weights"])
def test_child_gets_the_file_that_a_mirror_gave(mimctl, toy_with_init_cfg, tmp_path, how):
    published = tmp_path / "mirror" / PATH
    published.parent.mkdir(parents=True)
    published.write_bytes(b"weights of a mirror")
    config = write_config(tmp_path, NAME if how == "the config" else "torchvision://resnet50")
    more = () if how == "the config" else ("--weights", NAME)
    with serving(tmp_path / "mirror") as server:
        mimctl("settings", "set", "mirrors.download.openmmlab.com", server.address)
        said = mimctl("train", "toy", config, "--gpus", "0", *more)
        assert said.code == 0, said.err
        assert server.asked == [f"/{PATH}"]
        assert mimctl("train", "toy", config, "--gpus", "0", *more).code == 0
        assert server.asked == [f"/{PATH}"], "the second run takes the file of the cache"
    assert "`mobilenet_v2.pth`: not checked" in said.err
    for spec in (tmp_path / "here" / "work_dirs").rglob("spec.json"):
        weights = json.loads(spec.read_text())["weights"]
        assert list(weights) == [NAME], "with weights of a whole model the pretrained part is not fetched"
        assert Path(weights[NAME]).read_bytes() == b"weights of a mirror"
