"""Weights that a config names by a short name: found before anything starts, fetched through a mirror, handed over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from static_server import serving
from written_toolbox import change, make_toolbox

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
    told = said.out + said.err
    assert said.code == 2
    assert "error[unknown-weights-address]: no published weights go by the name `torchvision://resnet5O`" in told
    assert f"{config}:8" in told
    assert "did you mean `torchvision://resnet50`" in told
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


@pytest.mark.parametrize("how", ["the config", "--weights"])
def test_child_gets_the_file_that_the_hub_gave(mimctl, toy_with_init_cfg, tmp_path, how):
    address = "hf://owner/repo/net.safetensors@v2"
    config = write_config(tmp_path, address if how == "the config" else "torchvision://resnet50")
    more = () if how == "the config" else ("--weights", address)
    with HubServer() as hub:
        hub.put("owner/repo", "net.safetensors", b"weights of the hub", revision="v2")
        hub.private["owner/repo"] = "hf_can4ry"
        said = mimctl(
            "train", "toy", config, "--gpus", "0", *more, env={"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_can4ry"}
        )
    assert said.code == 0, said.err
    assert "not checked" not in said.err
    (spec,) = (tmp_path / "here" / "work_dirs").rglob("spec.json")
    weights = json.loads(spec.read_text())["weights"]
    assert Path(weights[address]).read_bytes() == b"weights of the hub"
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"can4ry" in path.read_bytes()]
    assert kept == [], "the token is in no specification, log or config"


VERB = """\
def train(spec):
    from mimctl.config import Config
    from mimctl.engine.checkpoints.checkpoint import use_weights
    from mimctl.engine.registry import MODELS

    model = MODELS.build(Config.fromfile(spec.config).model)
    with use_weights(spec.weights):
        model.init_weights()
    values = {key: float(each.detach().flatten()[0]) for key, each in model.named_parameters()}
    return {"work_dir": spec.work_dir, "checkpoint": None, "metrics": values}
"""


def test_published_name_ends_as_values_of_a_model(mimctl, site, tmp_path):
    """From a name in a config to torch's tensors: an old file format, DDP's prefix, a part of a larger model."""
    toolbox = make_toolbox(tmp_path / "project")
    (toolbox / "mimctl_dots" / "verbs.py").write_text(VERB)
    change(toolbox, "mimctl_dots/plugin.toml", "mimctl.engine.actions:train", "mimctl_dots.verbs:train")
    (toolbox / "mimctl_dots").rename(site / "mimctl_dots")
    info = site / "mimctl_dots-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mimctl-dots\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[mimctl.plugins]\ndots = mimctl_dots\n")
    published = tmp_path / "mirror" / PATH
    published.parent.mkdir(parents=True)
    state = {"module.generator.layers.0.weight": torch.full((4, 3, 3, 3), 7.0), "module.critic.weight": torch.ones(1)}
    torch.save({"state_dict": state, "meta": {}}, published, _use_new_zipfile_serialization=False)
    config = tmp_path / "mine.py"
    init_cfg = f"dict(type='Pretrained', checkpoint='{NAME}', prefix='generator.')"
    config.write_text(f"model = dict(type='dots.DotCounter', width=4, depth=1, init_cfg={init_cfg})\n")
    with serving(tmp_path / "mirror") as server:
        mimctl("settings", "set", "mirrors.download.openmmlab.com", server.address)
        said = mimctl("train", "dots", config, "--gpus", "0", "--json", env={"MIMCTL_PYTHON": sys.executable})
    assert said.code == 0, said.err
    assert json.loads(said.out)["metrics"]["layers.0.weight"] == 7.0
    assert "1 missing: layers.0.bias" in said.err, "what the file does not hold is named"
