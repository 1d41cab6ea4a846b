"""The number of classes wherever a model is told it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mimctl.config.config import Config
from mimctl.config.values import ConfigDict, walk

Overrides = dict[str, Any]


def class_counts(config: Config, num_classes: int) -> Overrides:
    """Return the overrides that make every head of the model (but one that proposes regions) tell so many classes.

    Where no head counts classes the backbone does (LeNet's). Preprocessors that know the number follow.
    """
    changes: Overrides = {}
    heads = dict(_heads(config))
    counting = [each for each in heads.values() if isinstance(each.get("num_classes"), int)]
    backbone = config.select("model.backbone")
    if not counting and isinstance(backbone, ConfigDict):
        heads["model.backbone"] = backbone
    for path in ("data_preprocessor", "model.data_preprocessor"):
        if isinstance(each := config.select(path), ConfigDict):
            heads[path] = each
    for path, head in heads.items():
        for key, value in _counts(head, num_classes):
            if head[key] != value:
                changes[f"{path}.{key}"] = value
    return changes


def _heads(config: Config) -> Iterator[tuple[str, ConfigDict]]:
    for path, each in walk(config.get("model", ConfigDict()), "model"):
        parts = path.split(".")
        if any(part == "head" or part.endswith("_head") for part in parts) and "rpn_head" not in parts:
            yield path, each


def _counts(head: ConfigDict, num_classes: int) -> Iterator[tuple[str, Any]]:
    for key in ("num_classes", "num_things_classes"):
        if isinstance(head.get(key), int) and head[key] > 0:
            yield key, num_classes
    if isinstance(head.get("num_stuff_classes"), int):
        yield "num_stuff_classes", 0
    weights = head.get("class_weight")
    if isinstance(weights, list) and len(weights) > 2:
        # One weight a class and a last one for the background, as set predictors have it.
        yield "class_weight", [*[weights[0]] * num_classes, weights[-1]]
