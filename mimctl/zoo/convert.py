"""Makes the zoo file of a toolbox: facts of OpenMMLab's metafiles imported, models of our own added.

`python -m mimctl.zoo.convert import index/zoo/det.json FACTS.json mmdet --source mmdet==3.3.0 [--wheel FILE.whl]`
`python -m mimctl.zoo.convert add index/zoo/det.json rtmdet_nano --config PATH --weights index/zoo/files/FILE`
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mimctl.transfer import sha256_of
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, digits_in_name, dump_zoo, parse_zoo


def entries_from_facts(
    models: Sequence[Mapping[str, Any]],
    *,
    source: str,
    buildable: Collection[str] = (),
    has_config: Callable[[str], bool] = lambda path: True,
) -> list[ModelEntry]:
    """Return the entries for `models`: mappings with name, alias, collection, config, weights (URL), results.

    `source` is the distribution whose wheel holds the configs; `has_config` tells which of their paths (inside
    `configs/`) are there, a dead path becomes None. Several weights of one entry (trackers) become none: they are no
    checkpoint of the model. `buildable` names the models that the toolbox builds.
    """
    entries: dict[tuple[str, str | None], ModelEntry] = {}
    for model in models:
        config = (model.get("config") or "").removeprefix("configs/")
        url = model.get("weights")
        weights = None
        if isinstance(url, str) and url:
            source_of_weights = WeightsSource(url=url)
            weights = WeightsSource(url=url, sha8=digits_in_name(source_of_weights.filename))
        key = (model["name"], weights.url if weights else None)
        twin = entries.get(key)
        if twin is not None and twin.config is not None:
            continue  # metafiles repeat some models, the one with a dead config path first or last
        entries[key] = ModelEntry(
            name=model["name"],
            aliases=tuple(model.get("alias", ())),
            collection=model.get("collection") or "",
            config=config if config and has_config(config) else None,
            config_source=source,
            weights=weights,
            results=tuple(model.get("results", ())),
            is_buildable=model["name"] in buildable,
        )
    return list(entries.values())


def merge(old: Zoo, imported: Sequence[ModelEntry]) -> Zoo:
    """Return `old` with all entries of other distributions replaced by `imported`; the toolbox's own come first."""
    own = tuple(entry for entry in old.models if entry.config_source == "mimctl")
    return Zoo(plugin=old.plugin, models=(*own, *imported))


def configs_in_wheel(wheel: Path) -> frozenset[str]:
    """Return the paths inside `<package>/.mim/configs/` of a wheel of OpenMMLab."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(name.partition("/.mim/configs/")[2] for name in archive.namelist() if "/.mim/configs/" in name)


def add(old: Zoo, entry: ModelEntry) -> Zoo:
    """Return `old` with `entry` at the head of the toolbox's own models, instead of one of the same name."""
    return Zoo(plugin=old.plugin, models=(entry, *(each for each in old.models if each.name != entry.name)))


def main(argv: Sequence[str] | None = None) -> int:
    """Change a zoo file; models that are marked buildable there stay so."""
    given = _parser().parse_args(argv)
    old = Zoo(plugin=given.zoo.stem)
    if given.zoo.is_file():
        old = parse_zoo(json.loads(given.zoo.read_text(encoding="utf-8")), shown=str(given.zoo))
    new = _imported(old, given) if given.action == "import" else add(old, _own(given))
    given.zoo.parent.mkdir(parents=True, exist_ok=True)
    given.zoo.write_text(dump_zoo(new), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mimctl.zoo.convert", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    importing = actions.add_parser("import", help="replace the models of other distributions")
    importing.add_argument("zoo", type=Path, help="the zoo file to write, named after its toolbox")
    importing.add_argument("facts", type=Path, help="JSON: {package: {'models': [...]}}")
    importing.add_argument("package")
    importing.add_argument("--source", required=True, help="the distribution that holds the configs, as name==version")
    importing.add_argument("--wheel", type=Path, help="its wheel: dead config paths are dropped")
    importing.add_argument("--buildable", nargs="*", default=[], help="names of further models that the toolbox builds")
    adding = actions.add_parser("add", help="add a model of our own, or replace it")
    adding.add_argument("zoo", type=Path)
    adding.add_argument("name")
    adding.add_argument("--config", required=True, help="its path inside the configs of the toolbox")
    adding.add_argument("--weights", type=Path, help="a file in the folder `files` beside the zoo file")
    adding.add_argument("--alias", action="append", default=[])
    adding.add_argument("--collection", default="")
    adding.add_argument(
        "--result", nargs=4, action="append", default=[], metavar=("TASK", "DATASET", "METRIC", "NUMBER")
    )
    return parser


def _imported(old: Zoo, given: argparse.Namespace) -> Zoo:
    buildable = {entry.name for entry in old.models if entry.is_buildable} | set(given.buildable)
    present = configs_in_wheel(given.wheel) if given.wheel else None
    models = json.loads(given.facts.read_text(encoding="utf-8"))[given.package]["models"]
    imported = entries_from_facts(
        models,
        source=given.source,
        buildable=buildable,
        has_config=lambda path: present is None or path in present,
    )
    return merge(old, imported)


def _own(given: argparse.Namespace) -> ModelEntry:
    weights = None
    if given.weights is not None:
        file = given.weights.resolve().relative_to(given.zoo.parent.resolve() / "files").as_posix()
        size = given.weights.stat().st_size
        weights = WeightsSource(sha256=sha256_of(given.weights), size=size, file=f"zoo/files/{file}")
    return ModelEntry(
        name=given.name,
        aliases=tuple(given.alias),
        collection=given.collection,
        config=given.config,
        weights=weights,
        results=tuple(
            {"task": task, "dataset": dataset, "metrics": {metric: float(number)}}
            for task, dataset, metric, number in given.result
        ),
        is_buildable=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
