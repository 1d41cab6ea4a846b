"""Makes the catalogue's files of OpenMMLab's packages from the facts of their metafiles, as one JSON document.

`python -m mimctl.zoo.catalogue.facts FACTS.json index/zoo` writes one source for each package of the document, which is
`{package: {"models": [...], "collections": {...}}}`. What a source calls buildable stays so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimctl.plugin.openmmlab import CATALOGUES
from mimctl.zoo.catalogue.entries import METADATA, ORIGIN, collections_of, entries_of, merge
from mimctl.zoo.catalogue.source import path_of, read, write
from mimctl.zoo.model import Zoo

RELEASES = {
    "mmdet": "mmdet==3.3.0",
    "mmpretrain": "mmpretrain==1.2.0",
    "mmseg": "mmsegmentation==1.2.2",
    "mmpose": "mmpose==1.3.2",
    "mmocr": "mmocr==1.0.1",
    "mmaction2": "mmaction2==1.2.0",
    "mmagic": "mmagic==1.2.0",
    "mmdet3d": "mmdet3d==1.4.0",
    "mmrotate": "mmrotate==1.0.0rc1",
    "mmyolo": "mmyolo==0.6.0",
    "mmtrack": "mmtrack==1.0.0rc1",
}
"""The last release of each package: its wheel holds the configs that the metafiles name."""


def models_of_facts(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the models of one package's facts in the form of `metafile.read_models`; dead configs are None."""
    for fact in facts["models"]:
        collection = facts["collections"].get(fact.get("collection"), {})
        stated = {**fact, ORIGIN: fact.get("converted_from")}
        yield {
            "name": fact["name"],
            "alias": _list(fact.get("alias")),
            "collection": fact.get("collection"),
            "config": fact.get("config") if fact.get("config_exists") else None,
            "weights": _list(fact.get("weights")),
            "metadata": {key: stated[key] for key in (*METADATA, ORIGIN) if stated.get(key) is not None},
            "results": fact.get("results") or [],
            "paper": collection.get("paper"),
            "title": collection.get("title"),
            "readme": collection.get("readme"),
        }


def import_facts(old: Zoo, facts: Mapping[str, Any], source: str) -> Zoo:
    """Return a toolbox's zoo with the models of one package's facts in the place of that package's earlier ones.

    Logs are no part of such facts: those that an import of the package itself brought stay.
    """
    models = list(models_of_facts(facts))
    buildable = {entry.name for entry in old.models if entry.is_buildable}
    logs = {(entry.name, entry.weights): entry.log for entry in old.models}
    entries = [
        replace(entry, log=logs.get((entry.name, entry.weights)))
        for entry in entries_of(models, source=source, buildable=buildable)
    ]
    return merge(old, entries, collections_of(models))


def main(arguments: Sequence[str]) -> int:
    """Write the sources of all packages of the document."""
    document, folder = json.loads(Path(arguments[0]).read_text(encoding="utf-8")), Path(arguments[1])
    for package, facts in document.items():
        path = path_of(folder, CATALOGUES[package])
        write(path, import_facts(read(path), facts, RELEASES[package]))
    return 0


def _list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
