"""Bring the models of a package that follows mim's convention into the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mimctl.errors import UsageError
from mimctl.zoo.catalogue.entries import collections_of, entries_of, merge
from mimctl.zoo.catalogue.lint import Finding, find_faults
from mimctl.zoo.catalogue.source import path_of, read, write
from mimctl.zoo.metafile import ModelFacts, read_models
from mimctl.zoo.model import ModelEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import has done: the source file, the entries it now holds of the package, what is irregular there."""

    path: Path
    entries: Sequence[ModelEntry]
    findings: Sequence[Finding]


def root_of(folder: Path) -> Path:
    """Return the folder below which a package's `configs` and metafiles lie: itself, or the `.mim` inside it.

    Raises UsageError[no-zoo] where there is neither.
    """
    inside = sorted(folder.glob("*/.mim"))
    for root in (folder, folder / ".mim", *inside):
        if (root / "model-index.yml").is_file() or (root / "configs").is_dir():
            return root
    raise UsageError(
        f"`{folder}` holds no models",
        code="no-zoo",
        causes=["there is neither a `model-index.yml` nor a folder `configs`"],
        hints=["name the folder of a package or of its repository"],
    )


def find_irregular(root: Path) -> list[Finding]:
    """Return what is irregular in the models below `root`; raise IntegrityError[bad-zoo], MimctlError[no-zoo]."""
    return _faults(read_models(root, cache_dir=None), root)


def import_models(
    root: Path, *, out: Path, plugin: str, source: str, buildable: Collection[str] = (), dry_run: bool = False
) -> Imported:
    """Write the models below `root` into `<out>/<plugin>.yaml`, in the place of those of the same distribution.

    `source` is the distribution with its version (`mmdet==3.3.0`). What the file calls buildable stays so; `buildable`
    names more. Raises IntegrityError[bad-zoo], MimctlError[no-zoo].
    """
    facts = read_models(root, cache_dir=None)
    path = path_of(out, plugin)
    old = read(path)
    known = {entry.name for entry in old.models if entry.is_buildable} | set(buildable)
    entries = entries_of(facts.models, source=source, buildable=known, has_config=_looks_in(root))
    if not dry_run:
        write(path, merge(old, entries, collections_of(facts.models)))
    return Imported(path=path, entries=entries, findings=_faults(facts, root))


def _faults(facts: ModelFacts, root: Path) -> list[Finding]:
    unread = (text.partition(": ") for text in facts.problems)
    told = [Finding(where=where, what=what) for where, _, what in unread]
    return [*told, *find_faults(facts.models, _looks_in(root))]


def _looks_in(root: Path) -> Callable[[str], bool]:
    def has_config(path: str) -> bool:
        return ".." not in PurePosixPath(path).parts and (root / "configs" / path).is_file()

    return has_config
