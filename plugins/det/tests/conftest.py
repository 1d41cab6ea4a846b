"""Fixtures of the detection tests: references, upstream configs, samples with the synthetic ground truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from twins import Twins, model, own_config, reference, twin, upstream

from mimctl.config import Config
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.registry import MODELS
from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import DetDataSample

__all__ = ["model", "own_config", "reference", "twin", "upstream"]

CONFIGS = Path(__file__).resolve().parents[1] / "mimctl_det" / "configs"


@pytest.fixture
def twins() -> Twins:
    """Return whose twins the models are."""
    return Twins(package="mmdet", configs=CONFIGS)


@pytest.fixture
def build() -> Callable[..., Any]:
    """Return a builder of a config's model, with keys of its head replaced, without pretrained weights."""

    def build_model(config: Config, **head: Any) -> Any:
        model = config.to_dict()["model"]
        model["bbox_head"].update(head)
        model["backbone"].pop("init_cfg", None)
        with use_scope(config["default_scope"]):
            return MODELS.build(model)

    return build_model


@pytest.fixture
def samples() -> Callable[..., list[DetDataSample]]:
    """Return a maker of samples of H x W images, each with the same three boxes."""

    def make(batch: int, height: int, width: int) -> list[DetDataSample]:
        size = (height, width)
        meta = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), size)
        boxes = torch.tensor([[10.0, 20, 90, 120], [100, 30, 200, 150], [40, 60, 70, 100]])
        return [
            DetDataSample(
                metainfo={**meta, "scale_factor": (1.0, 1.0), "flip": False},
                gt_instances=InstanceData(bboxes=boxes.clone(), labels=torch.tensor([1, 5, 17])),
                ignored_instances=InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)),
            )
            for _ in range(batch)
        ]

    return make
