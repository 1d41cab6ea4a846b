"""An index that holds the whole committed catalogue with our own weights, and no wheels."""

from __future__ import annotations

import shutil
from pathlib import Path

from mimctl.site.pages import to_json
from mimctl.zoo.catalogue.source import load_yaml

SOURCES = {path.stem: path for path in sorted((Path(__file__).parents[1] / "index" / "zoo").glob("*.yaml"))}
"""Toolbox → its catalogue."""


def write_catalogue(folder: Path) -> Path:
    """Write the documents that mimctl reads of an index into a folder, and return it."""
    folder.mkdir(parents=True)
    shutil.copytree(SOURCES["det"].parent / "files", folder / "zoo" / "files")
    (folder / "index.json").write_text('{"schema_version": 1, "generator": "test", "files": [], "torch": {}}')
    (folder / "toolboxes.json").write_text('{"schema_version": 1, "toolboxes": {}}')
    for name, path in SOURCES.items():
        text = to_json(load_yaml(path.read_bytes()), many="models")
        (folder / "zoo" / f"{name}.json").write_text(text, encoding="utf-8")
    return folder
