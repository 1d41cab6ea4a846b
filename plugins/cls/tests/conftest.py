"""Fixtures of the classification tests: references, upstream configs, our own, models by config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twins import Twins, model, own_config, reference, twin, upstream

from mimctl.config import Config
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.registry import MODELS
from mimctl_cls.structures import DataSample

__all__ = ["model", "own_config", "reference", "twin", "upstream"]

CONFIGS = Path(__file__).resolve().parents[1] / "mimctl_cls" / "configs"


@pytest.fixture
def twins() -> Twins:
    """Return whose twins the models are."""
    return Twins(package="mmpretrain", configs=CONFIGS)


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
