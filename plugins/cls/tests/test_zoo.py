"""The list of models: what it says this toolbox builds is built, and what it builds is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from mimctl.errors import MimctlError

ROOT = Path(__file__).resolve().parents[3]
MODELS = yaml.load((ROOT / "index/zoo/cls.yaml").read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["models"]


@pytest.mark.parametrize("config", sorted({each["config"] for each in MODELS if each["buildable"]}))
def test_a_model_that_is_called_buildable_is_built(config, upstream, build):
    with torch.device("meta"):
        assert sum(each.numel() for each in build(upstream(config)).parameters()) > 10_000


def test_a_model_that_is_not_called_so_is_not_built(upstream, build):
    others = sorted({each["config"] for each in MODELS if not each["buildable"] and each.get("config")})[::25]
    assert len(others) > 10
    for config in others:
        with torch.device("meta"), pytest.raises((MimctlError, KeyError)):
            build(upstream(config))


def test_published_weights_have_the_digits_of_their_names():
    (found,) = (each for each in MODELS if each["name"] == "resnet18_8xb32_in1k")
    assert found["buildable"]
    assert found["config"] == "resnet/resnet18_8xb32_in1k.py"
    assert found["weights"]["sha8"] == "fbbb1da6"
    assert found["results"][0]["metrics"]["Top 1 Accuracy"] == 69.9
