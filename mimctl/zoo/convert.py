"""Turn model facts as OpenMMLab's metafiles hold them into the zoo file of a toolbox.

`python -m mimctl.zoo.convert FACTS.json mmdet index/zoo/det.json --source mmdet==3.3.0 [--wheel FILE.whl]`
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

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


def main(argv: Sequence[str] | None = None) -> int:
    """Write the zoo file; models that are marked buildable there stay so."""
    parser = argparse.ArgumentParser(prog="python -m mimctl.zoo.convert", description=__doc__)
    parser.add_argument("facts", type=Path, help="JSON: {package: {'models': [...]}}")
    parser.add_argument("package")
    parser.add_argument("zoo", type=Path, help="the zoo file to write, named after its toolbox")
    parser.add_argument("--source", required=True, help="the distribution that holds the configs, as name==version")
    parser.add_argument("--wheel", type=Path, help="its wheel: dead config paths are dropped")
    parser.add_argument("--buildable", nargs="*", default=[], help="names of further models that the toolbox builds")
    given = parser.parse_args(argv)
    old = Zoo(plugin=given.zoo.stem)
    if given.zoo.is_file():
        old = parse_zoo(json.loads(given.zoo.read_text(encoding="utf-8")), shown=str(given.zoo))
    buildable = {entry.name for entry in old.models if entry.is_buildable} | set(given.buildable)
    present = configs_in_wheel(given.wheel) if given.wheel else None
    models = json.loads(given.facts.read_text(encoding="utf-8"))[given.package]["models"]
    imported = entries_from_facts(
        models,
        source=given.source,
        buildable=buildable,
        has_config=lambda path: present is None or path in present,
    )
    given.zoo.parent.mkdir(parents=True, exist_ok=True)
    given.zoo.write_text(dump_zoo(merge(old, imported)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
