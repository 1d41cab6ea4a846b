"""The configs of this plugin: equal in value to OpenMMLab's of the same name, without a mistake that checks find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mimctl.config import Config, check

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "plugins/cls/mimctl_cls/configs"
PACKAGES = ("mimctl/engine", "mimctl/vision", "plugins/cls/mimctl_cls")

TWINS = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("[!_]*/*_in1k.py")}
TWINS |= {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("[!_]*/*_cifar10.py")}
SIZES = {
    "lenet/lenet5_mnist.py": 61_706,
    "resnet/resnet18_8xb32_in1k.py": 11_689_512,
    "resnet/resnet50_8xb32_in1k.py": 25_557_032,
    "resnet/resnet152_8xb32_in1k.py": 60_192_808,
    "resnet/resnetv1d50_8xb32_in1k.py": 25_576_264,
    "resnext/resnext50-32x4d_8xb32_in1k.py": 25_028_904,
    "resnet/resnet18_8xb16_cifar10.py": 11_173_962,
}
BUILT = (
    "resnet/resnet50_8xb32-mixup_in1k.py",
    "resnet/resnet50_8xb16-mixup_cifar10.py",
    "resnet/resnet50_8xb256-rsb-a1-600e_in1k.py",
    "seresnet/seresnet50_8xb32_in1k.py",
    "seresnet/seresnext50-32x4d_8xb32_in1k.py",
    "wrn/wide-resnet50_8xb32_in1k.py",
)


@pytest.mark.parametrize("path", sorted(TWINS))
def test_config_has_the_values_of_its_twin(path, upstream, own_config):
    theirs, ours = upstream(path).to_dict(), own_config(path).to_dict()
    assert (theirs.pop("default_scope"), ours.pop("default_scope")) == ("mmpretrain", "cls")
    assert ours == theirs


def test_lenets_config_has_the_training_of_its_twin(upstream, own_config):
    theirs, ours = (read("lenet/lenet5_mnist.py").to_dict() for read in (upstream, own_config))
    own = {"default_scope", "default_hooks", "randomness", "resume", "resume_from", "visualizer", "vis_backends"}
    assert {key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key)} <= own


@pytest.mark.parametrize("path", SIZES)
def test_models_have_the_parameters_that_are_known_of_them(path, own_config, build):
    with torch.device("meta"):
        model = build(own_config(path))
    assert sum(each.numel() for each in model.parameters()) == SIZES[path]


@pytest.mark.parametrize("path", BUILT)
def test_published_configs_of_the_family_build_unmodified(path, upstream, build):
    with torch.device("meta"):
        build(upstream(path))


def test_no_config_has_a_mistake():
    tables = [json.loads((ROOT / each / "types.json").read_text(encoding="utf-8")) for each in PACKAGES]
    own = sorted(CONFIGS.glob("[!_]*/*.py"))
    assert len(own) > 20
    found = {path.name: [str(each) for each in check(Config.fromfile(path), tables)] for path in own}
    assert found == {path.name: [] for path in own}
