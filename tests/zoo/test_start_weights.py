"""Weights that a training starts from: those of the config's name, or of a published base with the same model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mimctl.errors import NetworkError
from mimctl.settings import Settings
from mimctl.zoo.source import ZooModels


@pytest.fixture
def models(index_dir: Path, settings: Settings) -> ZooModels:
    """Return a zoo with the weights of `rtmdet_nano`."""
    return ZooModels(dataclasses.replace(settings, index=(str(index_dir),)))


def start(models: ZooModels, config: Path) -> Path:
    toolbox: Any = SimpleNamespace(name="det")
    return models.start_weights(toolbox, config)


def test_a_config_starts_from_the_weights_of_its_name(models: ZooModels, own_configs: Path, facts: Any) -> None:
    assert start(models, own_configs / "rtmdet" / "rtmdet_nano.py").read_bytes() == facts.own_weights


def test_a_config_of_the_same_model_starts_from_those_of_its_base(
    models: ZooModels, own_configs: Path, facts: Any
) -> None:
    mine = own_configs / "rtmdet" / "mine.py"
    mine.write_text("_base_ = './longer.py'\nmodel = dict(widen=0.25)\n")
    (own_configs / "rtmdet" / "longer.py").write_text("_base_ = './rtmdet_nano.py'\ntrain_cfg = dict(max_epochs=7)\n")
    assert start(models, mine).read_bytes() == facts.own_weights


@pytest.mark.parametrize(
    "text", ["_base_ = './rtmdet_nano.py'\nmodel = dict(widen=0.5)\n", "x = 1\n", "_base_ = 'no.py'\n"]
)
def test_another_model_has_no_weights(models: ZooModels, own_configs: Path, text: str) -> None:
    mine = own_configs / "rtmdet" / "mine.py"
    mine.write_text(text)
    with pytest.raises(NetworkError) as caught:
        start(models, mine)
    assert caught.value.code == "weights-not-at-hand"
    assert "the zoo has no weights for `mine`" in caught.value.causes
