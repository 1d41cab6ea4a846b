"""Models of the zoo that go into a bundle: weights and flattened config side by side, in the zoo of its own index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.plugin.discover import Plugin
from mimctl.transfer import write_file
from mimctl.zoo.document import document_of
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo
from mimctl.zoo.names import resolve_name
from mimctl.zoo.source import ZooModels

_FILES = "zoo/files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the zoo with its files on this machine."""

    plugin: str
    entry: ModelEntry
    config: Path
    weights: Path
    sha256: str
    """Of the weights."""

    @property
    def folder(self) -> str:
        """Return the folder of its files in an index."""
        return f"{_FILES}/{self.sha256[:16]}"

    @property
    def file(self) -> str:
        """Return where its weights lie in an index."""
        return f"{self.folder}/{self.weights.name}"


def model_of_config(config: Path, plugins: Iterable[Plugin], models: ZooModels) -> Model | None:
    """Return the model whose weights a run with a config starts from, as `--weights auto` has it; None without one."""
    for plugin in plugins:
        for entry in models.entries(plugin):
            if config.stem in entry.short_names and entry.weights is not None:
                return _bring(plugin, entry, models)
    return None


def model_called(name: str, plugins: Iterable[Plugin], models: ZooModels) -> Model | None:
    """Return the model that a person means by a name, None where no zoo has one.

    Raises MimctlError[model-ambiguous | no-weights], and what fetching raises.
    """
    for plugin in plugins:
        try:
            entry = resolve_name(models.entries(plugin), name)
        except MimctlError as err:
            if err.code != "unknown-model":
                raise
            continue
        return _bring(plugin, entry, models)
    return None


def write_zoo_sources(folder: Path, models: Sequence[Model]) -> None:
    """Write what an index with these models is built from: a file for each toolbox, and what its models name."""
    for plugin in sorted({each.plugin for each in models}):
        entries = [_entry(each) for each in models if each.plugin == plugin]
        document = document_of(Zoo(plugin=plugin, models=tuple(entries)))
        write_file(folder / f"{plugin}.json", json.dumps(document, indent=1).encode())
    for each in models:
        place = folder / "files" / Path(each.folder).relative_to(_FILES)
        place.mkdir(parents=True, exist_ok=True)
        for source in (each.weights, each.config):
            shutil.copyfile(source, place / source.name)


def _entry(model: Model) -> ModelEntry:
    known = model.entry.weights or WeightsSource()
    weights = replace(known, sha256=model.sha256, size=model.weights.stat().st_size, file=model.file)
    return replace(model.entry, weights=weights, config_file=f"{model.folder}/{model.config.name}")


def _bring(plugin: Plugin, entry: ModelEntry, models: ZooModels) -> Model:
    found = models.download(plugin, entry.name)
    return Model(plugin=plugin.name, entry=entry, config=found.config, weights=found.checkpoint, sha256=found.sha256)
