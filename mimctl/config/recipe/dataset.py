"""Points a config at a dataset: files, classes and evaluators of every split, and the class counts of its model.

What a toolbox's data is like, and which metrics measure it, the toolbox says itself (`DatasetFacts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mimctl.config.config import Config
from mimctl.config.recipe.class_counts import class_counts
from mimctl.config.recipe.loading import fit_loading
from mimctl.config.schema import RUNNER_KEYS
from mimctl.config.values import ConfigDict, copy_value, walk
from mimctl.errors import ConfigError

Overrides = dict[str, Any]

_STANDS_IN = {"val": ("val", "test", "train"), "test": ("test", "val", "train"), "train": ("train",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What a config needs to know of a folder of data.

    `layout` is the toolbox's name for its form. `splits` maps train, val and test to `dataset_type`, `data_root`,
    `ann_file` (relative to the root), `data_prefix`, `extra` (further arguments of the dataset), each None where the
    dataset takes no such argument, `without` (arguments of other datasets that mean nothing here) and `truth` (the
    file that metrics with an `ann_file` compare with, or None).
    `known_metrics` are those that can measure the data; another `…Metric` is replaced by `metric`; without `metric`
    none is. `lacking` names arguments of transforms that the data cannot serve → the word for what is missing.
    `holds_arrays` says that samples bring their pictures along, instead of naming files.
    """

    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Mapping[str, Any]]
    known_metrics: Sequence[str] = ()
    metric: Mapping[str, Any] | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)
    holds_arrays: bool = False

    def split(self, name: str) -> Mapping[str, Any]:
        """Return a split, or the one that stands in for it."""
        for each in _STANDS_IN[name]:
            if each in self.splits:
                return self.splits[each]
        raise ConfigError(f"the data has no {name} split", code="not-applicable")


def apply_dataset(config: Config, facts: DatasetFacts) -> Overrides:
    """Return the overrides that train, validate and test `config` on the data.

    Datasets are set through wrappers (Repeat, ClassBalanced, MultiImageMix); several concatenated datasets become
    one. Raises ConfigError[not-applicable] where the config needs what the data lacks, or has no dataset to change.
    """
    _require_served(config, facts)
    changes: Overrides = {}
    for split in ("train", "val", "test"):
        path = f"{split}_dataloader.dataset"
        dataset = config.select(path)
        if isinstance(dataset, ConfigDict):
            changes.update(_dataset_changes(config, dataset, path, facts, split))
        changes.update(_evaluator_changes(config, f"{split}_evaluator", facts, split))
    if not changes:
        raise ConfigError("this config has no dataset that the data could take the place of", code="not-applicable")
    changes.update(class_counts(config, len(facts.classes)))
    changes.update(_variables(config, facts, changes))
    return changes


def _require_served(config: Config, facts: DatasetFacts) -> None:
    for path, each in walk(config.get("train_dataloader", ConfigDict()), "train_dataloader"):
        for key, what in facts.lacking.items():
            if each.get(key):
                raise ConfigError(
                    f"this config trains on {what}, and a {facts.layout} folder has none",
                    code="not-applicable",
                    hints=[f"use a config without {what}, or bring data that has them"],
                    origin=config.origin(f"{path}.{key}"),
                )


def _dataset_changes(config: Config, dataset: ConfigDict, path: str, facts: DatasetFacts, split: str) -> Overrides:
    """Return the changes of the innermost dataset below `path`."""
    while True:
        if isinstance(dataset.get("datasets"), (list, tuple)):
            return {path: _replaced(dataset, facts, split)}
        inner = dataset.get("dataset")
        if not isinstance(inner, ConfigDict):
            break
        dataset, path = inner, f"{path}.dataset"
    arguments = _arguments(facts, split) | fit_loading(config, dataset, path, holds_arrays=facts.holds_arrays)
    gone = [key for key in facts.split(split).get("without") or () if key in dataset]
    if not gone:
        return {f"{path}.{key}": value for key, value in arguments.items()}
    return {path: _changed(dataset, arguments, gone)}


def _replaced(dataset: ConfigDict, facts: DatasetFacts, split: str) -> ConfigDict:
    """Return the first of several concatenated datasets, changed, to stand in for them all."""
    first: Any = dataset
    while isinstance(first, ConfigDict) and ("datasets" in first or "dataset" in first):
        first = first["datasets"][0] if "datasets" in first else first["dataset"]
    return _changed(first, _arguments(facts, split), facts.split(split).get("without") or ())


def _changed(dataset: ConfigDict, arguments: Overrides, without: Sequence[str]) -> ConfigDict:
    """Return a dataset with other arguments and without some, to be put in place of the old one as a whole."""
    made: ConfigDict = copy_value(dataset)
    for key in without:
        made.pop(key, None)
    made.set_all(arguments)
    for value in made.values():
        if isinstance(value, ConfigDict):
            value.pop("_delete_", None)
    made["_delete_"] = True
    return made


def _arguments(facts: DatasetFacts, split: str) -> Overrides:
    given = facts.split(split)
    prefix = given.get("data_prefix")
    arguments = {
        "type": given["dataset_type"],
        "data_root": given["data_root"],
        "ann_file": given.get("ann_file"),
        "data_prefix": {"_delete_": True, **prefix} if isinstance(prefix, Mapping) else prefix,
        "metainfo": {"_delete_": True, "classes": facts.classes},
        **(given.get("extra") or {}),
    }
    return {key: value for key, value in arguments.items() if value is not None}


def _evaluator_changes(config: Config, key: str, facts: DatasetFacts, split: str) -> Overrides:
    held = config.get(key)
    changes: Overrides = {}
    truth = facts.split(split).get("truth")
    metrics = list(enumerate(held)) if isinstance(held, (list, tuple)) else [(None, held)]
    for index, metric in metrics:
        if not isinstance(metric, ConfigDict):
            continue
        path = key if index is None else f"{key}.{index}"
        name = str(metric.get("type")).rpartition(".")[2]
        instead = facts.metric
        if instead is not None and name.endswith("Metric") and name not in facts.known_metrics:
            changes[path] = {"_delete_": True, **instead, "ann_file": truth}
        elif "ann_file" in metric or (instead is not None and name == instead.get("type")):
            changes[f"{path}.ann_file"] = truth
        changes.update(_fitting_topk(metric, path, len(facts.classes)))
    return changes


def _fitting_topk(metric: ConfigDict, path: str, num_classes: int) -> Overrides:
    """Return the change that leaves out the best k of fewer than k + 1 classes: among all of them each is a hit."""
    best = metric.get("topk")
    if not isinstance(best, (list, tuple)) or not all(isinstance(each, int) for each in best):
        return {}
    kept = type(best)(each for each in best if each == 1 or each < num_classes)
    return {f"{path}.topk": kept} if kept and kept != best else {}


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
