"""Turn what metafiles say of models into entries of the catalogue; whatever is irregular is left out, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mimctl.config.weight_names import is_whole_address
from mimctl.errors import UsageError
from mimctl.plugin.configs import SUFFIXES
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, digits_in_name, is_safe_name

METADATA = ("Parameters", "FLOPs", "Epochs", "Iterations", "Batch Size", "Training Data", "Training Memory (GB)")
"""What the catalogue keeps of a metafile's metadata: what people choose and compare by."""
ORIGIN = "Converted From"
_MOST_TEXT = 300


def entries_of(
    models: Iterable[Mapping[str, Any]],
    *,
    source: str,
    buildable: Collection[str] = (),
    has_config: Callable[[str], bool] = lambda path: True,
) -> list[ModelEntry]:
    """Return the entries of `models`, as `metafile.read_models` returns them.

    `source` is the distribution whose wheel holds the configs; `has_config` tells which of their paths (inside
    `configs/`) are there, a dead path becomes None. `buildable` names the models that the toolbox builds. A model whose
    name fits no file is left out; metafiles name some models twice, with other figures or a dead config: all are kept.
    """
    return [_entry(model, source, buildable, has_config) for model in models if is_safe_name(model.get("name"))]


def collections_of(models: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return what the models say of their families: name → `paper`, `title`, `readme`, as far as stated."""
    found: dict[str, dict[str, str]] = {}
    for model in models:
        name = _line(model.get("collection"))
        stated = {key: _line(model.get(key)) for key in ("paper", "title", "readme")}
        if name:
            found.setdefault(name, {}).update({key: value for key, value in stated.items() if value})
    return {name: each for name, each in found.items() if each}


def merge(old: Zoo, imported: Sequence[ModelEntry], collections: Mapping[str, Mapping[str, str]]) -> Zoo:
    """Return `old` with the entries of the imported distribution replaced; the toolbox's own come first.

    Entries of other releases of one distribution are replaced too.
    """
    projects = {_project(entry.config_source) for entry in imported}
    kept = [entry for entry in old.models if _project(entry.config_source) not in projects]
    kept.sort(key=lambda entry: entry.config_source != "mimctl")
    return Zoo(
        plugin=old.plugin,
        models=(*kept, *imported),
        collections=dict(sorted({**old.collections, **collections}.items())),
    )


def _entry(
    model: Mapping[str, Any], source: str, buildable: Collection[str], has_config: Callable[[str], bool]
) -> ModelEntry:
    config = (model.get("config") or "").removeprefix("configs/")
    urls = [each for each in model.get("weights") or () if _is_address(each)]
    only = urls[0] if len(urls) == 1 else None
    return ModelEntry(
        name=model["name"],
        aliases=tuple(each for each in model.get("alias") or () if is_safe_name(each)),
        collection=_line(model.get("collection")),
        config=config if config and _is_inside(config) and has_config(config) else None,
        config_source=source,
        weights=None
        if only is None
        else WeightsSource(url=only, sha8=digits_in_name(WeightsSource(url=only).filename)),
        log=WeightsSource(url=model["log"]) if _is_address(model.get("log")) else None,
        parts=tuple(urls) if len(urls) > 1 else (),
        results=tuple(_result(each) for each in model.get("results") or ()),
        metadata=_metadata(model.get("metadata") or {}),
        is_buildable=model["name"] in buildable,
    )


def _metadata(stated: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _plain(stated[key]) for key in METADATA if key in stated}
    origin = stated.get(ORIGIN)
    if isinstance(origin, Mapping):  # the publisher's own release
        origin = origin.get("Weights") or origin.get("Code")
    return {key: value for key, value in {**kept, ORIGIN: _plain(origin)}.items() if value not in (None, "", [])}


def _result(stated: Mapping[str, Any]) -> dict[str, Any]:
    metrics = stated.get("metrics")
    numbers = _plain(metrics) if isinstance(metrics, Mapping) else {}
    return {
        "task": _line(stated.get("task")),
        "dataset": _line(stated.get("dataset")),
        "metrics": {name: value for name, value in numbers.items() if value is not None},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_line(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return _line(value) if isinstance(value, str) else value


def _line(value: Any) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    return "".join(letter for letter in text if letter.isprintable())[:_MOST_TEXT]


def _is_address(text: Any) -> bool:
    """Return whether a text is an address whose file has a name that can be kept."""
    if not isinstance(text, str) or not text.isprintable() or not is_whole_address(text):
        return False
    try:
        return is_safe_name(WeightsSource(url=text).filename)
    except UsageError:
        return False


def _is_inside(config: str) -> bool:
    path = PurePosixPath(config)
    has_line = config.isprintable() and "\\" not in config
    return has_line and not path.is_absolute() and ".." not in path.parts and path.suffix in SUFFIXES


def _project(source: str) -> str:
    return source.partition("==")[0]
