"""Points a config at a dataset: files, classes and evaluators of every split, and the class counts of its heads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mimctl.config.config import Config
from mimctl.config.schema import RUNNER_KEYS
from mimctl.config.values import ConfigDict, copy_value, walk
from mimctl.errors import ConfigError

Overrides = dict[str, Any]

_OWN_METRICS = frozenset({"CocoMetric", "VOCMetric", "DumpResults", "DumpDetResults"})
_STANDS_IN = {"val": ("val", "test", "train"), "test": ("test", "val", "train"), "train": ("train",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What a config needs to know of a folder of images.

    `layout` is "coco", "voc" or "yolo". `splits` maps train, val and test to `dataset_type`, `data_root`, `ann_file`
    (relative to the root), `data_prefix` (a dict) and `extra` (further arguments of the dataset, or None).
    """

    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Mapping[str, Any]]

    def split(self, name: str) -> Mapping[str, Any]:
        """Return a split, or the one that stands in for it."""
        for each in _STANDS_IN[name]:
            if each in self.splits:
                return self.splits[each]
        raise ConfigError(f"the data has no {name} split", code="not-applicable")


def apply_dataset(config: Config, facts: DatasetFacts) -> Overrides:
    """Return the overrides that train, validate and test `config` on the data.

    Datasets are set through wrappers (Repeat, ClassBalanced, MultiImageMix); several concatenated datasets become
    one. Raises ConfigError[not-applicable] where the config needs masks and the layout has boxes only, or has no
    dataset to change.
    """
    _require_boxes(config, facts)
    changes: Overrides = {}
    for split in ("train", "val", "test"):
        path = f"{split}_dataloader.dataset"
        dataset = config.select(path)
        if isinstance(dataset, ConfigDict):
            changes.update(_dataset_changes(dataset, path, facts, split))
        changes.update(_evaluator_changes(config, f"{split}_evaluator", facts, split))
    if not changes:
        raise ConfigError("this config has no dataset that the data could take the place of", code="not-applicable")
    changes.update(_class_counts(config, len(facts.classes)))
    changes.update(_variables(config, facts, changes))
    return changes


def _require_boxes(config: Config, facts: DatasetFacts) -> None:
    if facts.layout == "coco":
        return
    for path, each in walk(config.get("train_dataloader", ConfigDict()), "train_dataloader"):
        if each.get("with_mask"):
            raise ConfigError(
                f"this config trains on masks, and a {facts.layout.upper()} folder has boxes only",
                code="not-applicable",
                hints=["use a detection config, or bring the masks in COCO format"],
                origin=config.origin(f"{path}.with_mask"),
            )


def _dataset_changes(dataset: ConfigDict, path: str, facts: DatasetFacts, split: str) -> Overrides:
    """Return the changes of the innermost dataset below `path`."""
    while True:
        if isinstance(dataset.get("datasets"), (list, tuple)):
            return {path: _replaced(dataset, facts, split)}
        inner = dataset.get("dataset")
        if not isinstance(inner, ConfigDict):
            break
        dataset, path = inner, f"{path}.dataset"
    return {f"{path}.{key}": value for key, value in _arguments(facts, split).items()}


def _replaced(dataset: ConfigDict, facts: DatasetFacts, split: str) -> ConfigDict:
    """Return the first of several concatenated datasets, changed, to stand in for them all."""
    first: Any = dataset
    while isinstance(first, ConfigDict) and ("datasets" in first or "dataset" in first):
        first = first["datasets"][0] if "datasets" in first else first["dataset"]
    made: ConfigDict = copy_value(first)
    made.set_all(_arguments(facts, split))
    for key in ("data_prefix", "metainfo"):
        made[key].pop("_delete_")
    made["_delete_"] = True
    return made


def _arguments(facts: DatasetFacts, split: str) -> Overrides:
    given = facts.split(split)
    return {
        "type": given["dataset_type"],
        "data_root": given["data_root"],
        "ann_file": given["ann_file"],
        "data_prefix": {"_delete_": True, **(given["data_prefix"] or {})},
        "metainfo": {"_delete_": True, "classes": facts.classes},
        **(given.get("extra") or {}),
    }


def _evaluator_changes(config: Config, key: str, facts: DatasetFacts, split: str) -> Overrides:
    held = config.get(key)
    changes: Overrides = {}
    truth = _ann_file(facts, split)
    metrics = list(enumerate(held)) if isinstance(held, (list, tuple)) else [(None, held)]
    for index, metric in metrics:
        if not isinstance(metric, ConfigDict):
            continue
        path = key if index is None else f"{key}.{index}"
        name = str(metric.get("type")).rpartition(".")[2]
        if name.endswith("Metric") and name not in _OWN_METRICS:
            changes[path] = {"_delete_": True, "type": "CocoMetric", "metric": "bbox", "ann_file": truth}
        elif name == "CocoMetric" or "ann_file" in metric:
            changes[f"{path}.ann_file"] = truth
    return changes


def _ann_file(facts: DatasetFacts, split: str) -> str | None:
    """Return the COCO file to evaluate against; without one the metric collects the truth from the samples."""
    given = facts.split(split)
    return os.path.join(given["data_root"], given["ann_file"]) if facts.layout == "coco" else None  # noqa: PTH118


def _class_counts(config: Config, num_classes: int) -> Overrides:
    changes: Overrides = {}
    for path, each in walk(config.get("model", ConfigDict()), "model"):
        parts = path.split(".")
        if not any(part == "head" or part.endswith("_head") for part in parts) or "rpn_head" in parts:
            continue
        for key, value in _counts(each, num_classes):
            if each[key] != value:
                changes[f"{path}.{key}"] = value
    return changes


def _counts(head: ConfigDict, num_classes: int) -> Iterator[tuple[str, Any]]:
    for key in ("num_classes", "num_things_classes"):
        if isinstance(head.get(key), int):
            yield key, num_classes
    if isinstance(head.get("num_stuff_classes"), int):
        yield "num_stuff_classes", 0
    weights = head.get("class_weight")
    if isinstance(weights, list) and len(weights) > 2:
        # One weight a class and a last one for the background, as set predictors have it.
        yield "class_weight", [*[weights[0]] * num_classes, weights[-1]]


def _variables(config: Config, facts: DatasetFacts, changes: Overrides) -> Overrides:
    """Return changes of the config's own variables, so that the written config does not contradict itself."""
    train = facts.split("train")
    known = {"data_root": train["data_root"], "dataset_type": train["dataset_type"], "num_classes": len(facts.classes)}
    found: Overrides = {
        key: value for key, value in known.items() if isinstance(config.get(key), (str, int)) and config[key] != value
    }
    for split in ("train", "val", "test"):
        path = f"{split}_dataloader.dataset"
        moved = {each.removeprefix(path): value for each, value in changes.items() if each.startswith(path)}
        for key in [each for each in config if each not in RUNNER_KEYS]:
            if isinstance(config[key], ConfigDict) and config[key] and config[key] == config.select(path):
                found |= {key + rest: value for rest, value in moved.items()}
    return found
