"""The folder of a bundle: where each part lies in it, and the manifest that names every file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import mimctl
from mimctl.bundling import check as bundle_check
from mimctl.bundling.models import Model, write_zoo_sources
from mimctl.bundling.parts import Weights
from mimctl.index.filenames import normalise
from mimctl.index.model import IndexFile, TorchVersions
from mimctl.installer.locking.lockfile import LOCK_NAME, Asked, Contents, write_lock
from mimctl.resolution.names import is_own
from mimctl.site.build import SiteSources, build_site
from mimctl.transfer import sha256_of

if TYPE_CHECKING:
    from mimctl.index.model import Index


def write_index(root: Path, own: Path, index: Index | None, models: Sequence[Model]) -> None:
    """Build the index of our own wheels, which lie in `own` and go from there, and of models of the zoo."""
    projects = {normalise(path.name.partition("-")[0]) for path in own.iterdir()}
    toolboxes = index.toolboxes if index is not None else {}
    torch = TorchVersions(
        verified=index.torch_verified if index else None, default=index.torch_default if index else None
    )
    boxes, zoo = root / "toolboxes.json", root / "zoo"
    plain = {
        name: {
            "distribution": each.distribution,
            "summary": each.summary,
            "aliases": list(each.aliases),
            "scopes": list(each.scopes),
        }
        for name, each in sorted(toolboxes.items())
        if normalise(each.distribution) in projects
    }
    boxes.write_text(json.dumps(plain), encoding="utf-8")  # JSON is YAML
    write_zoo_sources(zoo, models)
    try:
        sources = SiteSources(wheels=[own], zoo=zoo if models else None, toolboxes=boxes, torch=torch)
        build_site(sources, root / "index")
    finally:
        boxes.unlink()
        shutil.rmtree(own)
        shutil.rmtree(zoo, ignore_errors=True)
    for left in root.glob(".index*"):
        left.unlink()


def write_locked(root: Path, contents: Contents, asked: Asked, out: Path) -> None:
    """Write the lock of a bundle that will lie at `out`; it names every wheel by its place in there."""
    moved = {
        cell: {name: replace(file, url=str(out / _place(file))) for name, file in files.items()}
        for cell, files in contents.items()
    }
    text = write_lock(moved, replace(asked, indexes=("index",)), folder=out)
    write_text(root / LOCK_NAME, text)


def take_weights(root: Path, weights: Weights) -> dict[str, object]:
    """Copy weights into the bundle; return what its manifest says of them."""
    place = f"weights/{weights.sha256}/{weights.path.name}"
    copy(weights.path, root / place)
    return {"url": weights.url, "path": place, "sha256": weights.sha256}


def weights_of(models: Sequence[Model]) -> Iterator[dict[str, object]]:
    """Yield the weights of models that configs know by an address too; they lie in the index already."""
    for each in models:
        if each.entry.weights is not None and each.entry.weights.url is not None:
            yield {"url": each.entry.weights.url, "path": f"index/{each.file}", "sha256": each.sha256}


def manifest_of(
    root: Path, contents: Contents, *, weights: Sequence[object], datasets: Sequence[object]
) -> dict[str, object]:
    """Return the manifest of the files below `root`: the size and the SHA-256 of each."""
    return {
        "schema_version": bundle_check.SCHEMA_VERSION,
        "generator": f"mimctl {mimctl.__version__}",
        "environments": [{"for": cell.words, "python": cell.python} for cell in contents],
        "weights": list(weights),
        "datasets": list(datasets),
        "files": {
            name: {"size": (root / name).stat().st_size, "sha256": sha256_of(root / name)}
            for name in bundle_check.names_below(root)
        },
    }


def copy(source: Path, target: Path) -> None:
    """Copy a file, which everybody may read then."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a text file."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _place(file: IndexFile) -> str:
    return f"index/files/{file.filename}" if is_own(file.project) else f"wheels/{file.filename}"
