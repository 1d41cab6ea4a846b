"""Whether a pipeline reads its pictures from files, and how it begins to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mimctl.config.config import Config
from mimctl.config.values import ConfigDict, copy_value
from mimctl.errors import ConfigError

Overrides = dict[str, Any]


def fit_loading(config: Config, dataset: ConfigDict, path: str, *, holds_arrays: bool) -> Overrides:
    """Return the arguments of a dataset whose pipeline reads files where samples name them, {} where it fits as it is.

    Pictures of a model with one input channel are read in grey. Raises ConfigError[not-applicable] where the pipeline
    reads files and the samples are arrays (`holds_arrays`), or where it could not bring files to one size.
    """
    steps = dataset.get("pipeline")
    if not isinstance(steps, (list, tuple)) or not steps:
        return {}
    names = [_name(each) for each in steps]
    reads_files = any(name.startswith("LoadImage") for name in names)
    if reads_files and holds_arrays:
        raise ConfigError(
            "this config reads image files, and the data holds its pictures in files of many",
            code="not-applicable",
            hints=["use a config for such data, whose pipeline loads no file, or unpack it into image files"],
            origin=config.origin(f"{path}.pipeline"),
        )
    if reads_files or holds_arrays or not any(name.startswith("Pack") for name in names):
        return {}
    if not any("Resize" in name for name in names):
        raise ConfigError(
            "this config takes pictures as they are, and image files are of any size",
            code="not-applicable",
            causes=[f"its pipeline is {', '.join(names)}"],
            hints=["use a config that reads and resizes image files"],
            origin=config.origin(f"{path}.pipeline"),
        )
    return {"pipeline": [file_loader(config), *(copy_value(each) for each in steps)]}


def file_loader(config: Config) -> ConfigDict:
    """Return the step that reads an image file for the config's model: in grey where it takes one channel."""
    grey = {"color_type": "grayscale"} if num_channels(config) == 1 else {}
    return ConfigDict(type="LoadImageFromFile", **grey)


def num_channels(config: Config) -> int | None:
    """Return how many channels the model's images have, as its mean values tell; None where none are given."""
    for path in ("model.data_preprocessor.mean", "data_preprocessor.mean"):
        mean = config.select(path)
        if isinstance(mean, Sequence):
            return len(mean)
    return None


def _name(step: Any) -> str:
    return str(step.get("type", "")).rpartition(".")[2] if isinstance(step, ConfigDict) else ""
