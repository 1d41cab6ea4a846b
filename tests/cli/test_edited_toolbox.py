"""A toolbox that is edited where it lies: where its table of types is behind, commands say so and refuse nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from toy_toolbox import install_toolbox

NETS = """\
from mimctl.engine.registry import MODELS


@MODELS.register_module()
class ToyNet:
    def __init__(self, width, mode="good", height=2):
        pass


@MODELS.register_module()
class NewNet(ToyNet):
    pass
"""
STALE = "toolbox `toy`: its types.json is behind its source (it lacks NewNet; nothing registers ToySet; "


@pytest.fixture
def edited(site: Path, tmp_path: Path) -> Path:
    """The toolbox `toy`, installed editable, with a class and an argument that its table does not know."""
    project = tmp_path / "project"
    project.mkdir()
    package = install_toolbox(site, "toy").rename(project / "mimctl_toy")
    (site / "_toy.pth").write_text(f"{project}\n")
    (package / "nets.py").write_text(NETS)
    hour_ago = time.time() - 3600
    os.utime(package / "types.json", (hour_ago, hour_ago))
    return package


def config(folder: Path, model: str) -> Path:
    path = folder / "mine.py"
    path.write_text(f"default_scope = 'toy'\nmodel = {model}\n")
    return path


@pytest.mark.parametrize("model", ["dict(type='NewNet', width=4)", "dict(type='ToyNet', width=4, height=3)"])
def test_what_only_the_source_knows_is_accepted_with_a_warning(mimctl, edited, tmp_path, model):
    path = config(tmp_path, model)
    for verb in (("config", "lint"), ("train", "toy")):
        said = mimctl(*verb, path, *(("--gpus", "0", "--dry-run") if verb[0] == "train" else ()))
        assert said.code == 0, said.err
        assert f"warning: {STALE}" in said.err
        assert "write it anew: `mimctl plugin check toy`" in said.err


def test_mistakes_are_still_found_by_the_source(mimctl, edited, tmp_path):
    path = config(tmp_path, "dict(type='NewNett', width=4)")
    said = mimctl("train", "toy", path, "--gpus", "0")
    assert said.code == 2
    assert "did you mean `NewNet`" in said.err
    assert not (tmp_path / "here" / "work_dirs").exists()


def test_list_tells_and_check_mends(mimctl, edited):
    said = mimctl("list")
    assert said.code == 0
    assert f"warning: {STALE}" in said.err
    problems = json.loads(mimctl("list", "--json").out)["problems"]
    assert [each["code"] for each in problems if each["name"] == "mimctl-toy"] == ["stale-types"]
    assert "written anew" in mimctl("plugin", "check", "toy", "--no-run").out
    assert "stale" not in mimctl("list", "--json").out


def test_source_that_is_no_python_breaks_neither_this_nor_another_toolbox(mimctl, site, edited):
    install_toolbox(site, "good")
    (edited / "nets.py").write_text("register_module(")
    assert mimctl("list").code == 0
    assert mimctl("train", "good", "good_small", "--gpus", "0").code == 0
    said = mimctl("train", "toy", "toy_small", "--gpus", "0", "--dry-run")
    assert said.code == 0, said.err
    assert "cannot be compared with its source" in said.err
    assert "see where: `mimctl plugin check toy`" in said.err


@pytest.mark.parametrize(
    "harm",
    [
        lambda package: (package / "types.json").write_text("{"),
        lambda package: (package / "types.json").unlink(),
        lambda package: (package / "plugin.toml").write_text("name = ["),
        lambda package: (package / "__init__.py").unlink(),
        lambda package: (package / "__init__.py").write_text("raise ImportError('torn')"),
        lambda package: (package / "plugin.toml").write_bytes(b"\xff\xfe"),
    ],
)
def test_broken_toolbox_breaks_no_verb_of_another(mimctl, site, harm):
    harm(install_toolbox(site, "bad"))
    install_toolbox(site, "good")
    assert mimctl("list").code == 0
    assert mimctl("train", "good", "good_small", "--gpus", "0").code == 0
    assert mimctl("config", "lint", "good_small", "--plugin", "good").code == 0
    assert "error[bug]" not in mimctl("doctor", "--offline").err
