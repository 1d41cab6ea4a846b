"""Fixtures of toolboxes' parity tests: a model, once from OpenMMLab's config and once from ours, and its twin's values.

A toolbox's conftest says by `twins` whose twins its models are, and by `build` how a config's model is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from model_parity import Reference, fill_by_rule, load_reference, upstream_config
from torch import nn

from mimctl.config import Config

__all__ = ["model", "own_config", "reference", "twin", "upstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Whose twins a toolbox's models are."""

    package: str
    """OpenMMLab's package, `mmdet`."""
    configs: Path
    """The toolbox's own configs."""


@pytest.fixture
def reference(test_reference: Path, twins: Twins) -> Callable[[str], Reference]:
    """Return a reader of references by name, `rtmdet_s`."""
    return lambda name: load_reference(test_reference, f"{twins.package}/{name}")


@pytest.fixture
def upstream(test_reference: Path, tmp_path: Path, twins: Twins) -> Callable[[str], Config]:
    """Return a reader of OpenMMLab's configs by path, `rtmdet/rtmdet_s_8xb32-300e_coco.py`."""
    return lambda name: upstream_config(test_reference, twins.package, name, tmp_path)


@pytest.fixture
def own_config(twins: Twins) -> Callable[[str], Config]:
    """Return a reader of the toolbox's configs by path."""
    return lambda name: Config.fromfile(twins.configs / name)


@pytest.fixture(params=["upstream", "own_config"])
def model(request: pytest.FixtureRequest, name: str, build: Callable[[Config], nn.Module]) -> Any:
    """Return the model `name` of the test module's `MODELS` (name → config), once from each side's config."""
    made = build(request.getfixturevalue(request.param)(request.module.MODELS[name]))
    fill_by_rule(made)
    return made


@pytest.fixture
def twin(reference: Callable[[str], Reference], name: str) -> Reference:
    """Return the values of the model's twin."""
    return reference(name)
