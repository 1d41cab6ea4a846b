"""Fixtures of the classification tests: references, upstream configs, our own, models by config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_parity import Reference, load_reference, upstream_config

from mimctl.config import Config
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.registry import MODELS
from mimctl_cls.structures import DataSample

CONFIGS = Path(__file__).resolve().parents[1] / "mimctl_cls" / "configs"


@pytest.fixture
def reference(test_reference: Path) -> Callable[[str], Reference]:
    """Return a reader of references by name, `resnet18`."""
    return lambda name: load_reference(test_reference, f"mmpretrain/{name}")


@pytest.fixture
def upstream(test_reference: Path, tmp_path: Path) -> Callable[[str], Config]:
    """Return a reader of mmpretrain's configs by path, `resnet/resnet18_8xb32_in1k.py`."""
    return lambda name: upstream_config(test_reference, "mmpretrain", name, tmp_path)


@pytest.fixture
def own_config() -> Callable[[str], Config]:
    """Return a reader of this plugin's configs by path."""
    return lambda name: Config.fromfile(CONFIGS / name)


@pytest.fixture
def build() -> Callable[[Config], Any]:
    """Return a builder of a config's model."""

    def build_model(config: Config) -> Any:
        with use_scope(config["default_scope"]):
            return MODELS.build(config.to_dict()["model"])

    return build_model


@pytest.fixture
def samples() -> Callable[[int], list[DataSample]]:
    """Return a maker of samples, image b with the label b + 1."""
    return lambda batch: [DataSample().set_gt_label(number + 1) for number in range(batch)]
