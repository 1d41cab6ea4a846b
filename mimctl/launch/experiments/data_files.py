"""Find the data files that a config names and the disk does not have, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import MimctlError
from mimctl.launch.experiments.config_weights import is_address

if TYPE_CHECKING:
    from mimctl.config import Config

SPLITS = {"train": ("train", "val"), "test": ("test",)}
SHOWN = 8


def require_data(config: Config, action: str) -> None:
    """Raise MimctlError[data-not-found] naming each missing file with the config line that names it."""
    missing: dict[str, str] = {}
    for split in SPLITS.get(action, ()):
        loader = config.get(f"{split}_dataloader")
        if isinstance(loader, Mapping):
            named = [*data_paths(loader.get("dataset"), f"{split}_dataloader.dataset"), *_truths(config, split)]
            for path, key in named:
                if not Path(path).expanduser().exists():
                    missing.setdefault(path, key)
    if not missing:
        return
    causes = [f"`{path}` ({_place(config, key)})" for path, key in list(missing.items())[:SHOWN]]
    if len(missing) > SHOWN:
        causes.append(f"and {len(missing) - SHOWN} more")
    raise MimctlError(
        f"data that the config names is not there: {len(missing)} of its paths do not exist",
        code="data-not-found",
        causes=causes,
        hints=[
            "train on a folder of your own: `--data DIR`",
            "or say where it lies: `--cfg-options train_dataloader.dataset.data_root=DIR/ ...`",
        ],
        details={"missing": list(missing)},
    )


def _truths(config: Config, split: str) -> Iterator[tuple[str, str]]:
    key = f"{split}_evaluator"
    evaluator = config.get(key)
    many = enumerate(evaluator) if isinstance(evaluator, list | tuple) else [(None, evaluator)]
    for number, each in many:
        path = each.get("ann_file") if isinstance(each, Mapping) else None
        if isinstance(path, str) and path and not is_address(path):
            yield path, f"{key}.ann_file" if number is None else f"{key}.{number}.ann_file"


def data_paths(dataset: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (path, key in the config) of what a dataset reads, through wrapper datasets.

    `ann_file` and the values of `data_prefix` stand below `data_root`, which counts itself where they name nothing.
    Paths of other file systems are left out.
    """
    if not isinstance(dataset, Mapping):
        return
    if "dataset" in dataset:
        yield from data_paths(dataset["dataset"], f"{key}.dataset")
    many = dataset.get("datasets")
    if isinstance(many, Sequence) and not isinstance(many, str):
        for number, each in enumerate(many):
            yield from data_paths(each, f"{key}.datasets.{number}")
    root = dataset.get("data_root") or ""
    if is_address(root):
        return
    named: dict[str, Any] = {"ann_file": dataset.get("ann_file")}
    prefix = dataset.get("data_prefix")
    if isinstance(prefix, Mapping):
        named.update({f"data_prefix.{name}": value for name, value in prefix.items()})
    elif isinstance(prefix, str):
        named["data_prefix"] = prefix
    places = [(name, value) for name, value in named.items() if isinstance(value, str) and value]
    for name, value in places:
        if not is_address(value) and _is_file_like(name):
            yield str(Path(root) / value), f"{key}.{name}"
    if root and not places and "dataset" not in dataset and "datasets" not in dataset:
        yield str(root), f"{key}.data_root"


def _is_file_like(name: str) -> bool:
    # Prefixes such as `seg_map_path_suffix` are texts, not places.
    return not name.endswith("suffix")


def _place(config: Config, key: str) -> str:
    origin = config.origin(key)
    return f"{key}, {origin}" if origin else key
