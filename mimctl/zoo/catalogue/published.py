"""A model of a run of our own as an entry of the catalogue: what is known of it, and its metafile (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimctl import __version__
from mimctl.config import Config
from mimctl.errors import UsageError
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, is_safe_name

FILES = "zoo/files"
OF_A_RUN = ("work_dir", "load_from", "resume", "launcher", "experiment_name")
"""Keys of a config that belong to one run, and say where it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a run has left, ready to be written down.

    Of `files` (name, sha256, size in bytes) the weights come first. `metrics` have the evaluator's names.
    """

    name: str
    plugin: str
    task: str
    dataset: str
    config: Config
    files: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, Any]
    measured_by: str
    parameters: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    resources: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    log: Path | None = None
    """The scalars of its training."""

    @property
    def log_name(self) -> str | None:
        """Return what the log is called where it is published."""
        return f"{self.name}.log.json" if self.log is not None else None


def require_name(name: str) -> None:
    """Raise UsageError where a model's name is unfit for a file."""
    if not is_safe_name(name) or " " in name:
        raise UsageError(
            f"`{name}` is no name for a model",
            hints=["letters, digits and `.+(),=@_-`, for example `--name rtmdet_s_cats`"],
        )


def entry_of(made: Publication) -> ModelEntry:
    """Return the entry of a publication."""
    files = tuple(_source(made.name, each) for each in made.files)
    return ModelEntry(
        name=made.name,
        collection=_collection(made.config),
        config_file=f"{FILES}/{made.name}/{made.name}.py",
        weights=files[0],
        files=files[1:],
        results=({"task": made.task, "dataset": made.dataset, "metrics": numbers_of(made.metrics)},),
        metadata=_metadata(made),
        is_buildable=True,
    )


def add(old: Zoo, entry: ModelEntry) -> Zoo:
    """Return `old` with `entry` at its head, in the place of the toolbox's own model of that name.

    Raises UsageError[name-taken] where a published model of others has the name.
    """
    others = tuple(each for each in old.models if each.name != entry.name)
    taken = next((each for each in old.models if each.name == entry.name and each.config_source != "mimctl"), None)
    if taken is not None:
        raise UsageError(
            f"`{entry.name}` is a model of {taken.config_source}",
            code="name-taken",
            hints=["choose another name: `--name NAME`"],
        )
    return Zoo(plugin=old.plugin, models=(entry, *others), collections=old.collections)


def metafile_of(made: Publication, weights: str) -> str:
    """Return the metafile of a model in OpenMMLab's form, as YAML; `weights` is the name of its file."""
    import yaml

    model: dict[str, Any] = {
        "Name": made.name,
        "In Collection": _collection(made.config),
        "Config": f"{made.name}.py",
        "Metadata": {**_metadata(made), "Environment": {"mimctl": __version__, **made.environment}},
        "Results": [{"Task": made.task, "Dataset": made.dataset, "Metrics": numbers_of(made.metrics)}],
        "Weights": weights,
        **({"Training Log": made.log_name} if made.log_name else {}),
    }
    collections = [{"Name": _collection(made.config)}]
    return yaml.safe_dump({"Collections": collections, "Models": [model]}, sort_keys=False, allow_unicode=True)


def config_text(config: Config) -> str:
    """Return a run's config as others need it: without what belongs to the run alone."""
    kept = config.copy()
    for key in OF_A_RUN:
        if key in kept:
            del kept[key]
    return kept.pretty_text


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return those metrics that are one number."""
    return {
        name: value for name, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _source(name: str, file: Mapping[str, Any]) -> WeightsSource:
    return WeightsSource(file=f"{FILES}/{name}/{file['name']}", sha256=file["sha256"], size=file["size"])


def _metadata(made: Publication) -> dict[str, Any]:
    batch = made.config.select("train_dataloader.batch_size")
    ranks = made.facts.get("world_size")
    stated = {
        "Parameters": made.parameters,
        "Epochs": made.facts.get("epoch"),
        "Iterations": made.facts.get("iter"),
        "Batch Size": batch * ranks if isinstance(batch, int) and isinstance(ranks, int) else batch,
        "Training Data": made.dataset,
        "Training Resources": made.resources,
        "Measured By": made.measured_by,
    }
    return {key: value for key, value in stated.items() if value not in (None, "")}


def _collection(config: Config) -> str:
    kind = config.select("model.type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else ""
