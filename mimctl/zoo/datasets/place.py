"""A data set's folder: what of it is there, and how what was unpacked beside comes into its place."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.transfer import write_file
from mimctl.zoo.datasets.table import DataFile, DataSet

RECORD = ".mimctl-data.json"
ARCHIVES = ".archives"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folder of a data set. Several data sets may share one."""

    root: Path
    data_set: str

    def archive(self, file: DataFile) -> Path:
        """Return where a file lies while it is fetched, and afterwards where archives are kept."""
        return self.root / ARCHIVES / file.name

    def unpacking(self, file: DataFile) -> Path:
        """Return the folder in which an archive is being unpacked."""
        return self.root / f".unpacking-{file.name}"

    def unpacked(self, file: DataFile) -> Path:
        """Return the folder with all that an archive held, until each of its files is in its place."""
        return self.root / f".unpacked-{file.name}"

    def is_done(self, file: DataFile) -> bool:
        """Return whether this very file was brought here before and what it gives is still there."""
        return self._records().get(self._key(file)) == _identity(file) and self.has_all(file)

    def has_all(self, file: DataFile) -> bool:
        """Return whether all that the file gives is there, whoever brought it."""
        return all((self.root / each).exists() for each in file.gives)

    def remember(self, file: DataFile) -> None:
        """Write down that the file is in its place."""
        done = {**self._records(), self._key(file): _identity(file)}
        document = {"schema_version": SCHEMA_VERSION, "done": done}
        write_file(self.root / RECORD, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())

    def _records(self) -> Mapping[str, Any]:
        try:
            found = json.loads((self.root / RECORD).read_text(encoding="utf-8"))
            return dict(found["done"]) if found["schema_version"] == SCHEMA_VERSION else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _key(self, file: DataFile) -> str:
        return f"{self.data_set}/{file.name}"


def root_of(data_set: DataSet, dest: Path | None) -> Path:
    """Return the folder that a data set is brought to: `dest`, else where configs look for it from here."""
    return (Path(data_set.folder) if dest is None else dest.expanduser()).absolute()


def move_into(tree: Path, folder: Path) -> None:
    """Move all that lies in `tree` into `folder`: whole folders where they are new, else file by file.

    What is there with the same bytes stays. Raises MimctlError[data-in-the-way] before anything is moved where a file
    of that name holds other bytes, or a file and a folder have one name.
    """
    for source, target in _meetings(tree, folder):
        _check_same(source, target)
    folder.mkdir(parents=True, exist_ok=True)
    _merge(tree, folder)


def move_file(source: Path, target: Path) -> None:
    """Move one file to its place, as `move_into` does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        _check_same(source, target)
        source.unlink()
    else:
        _move(source, target)


def _check_same(source: Path, target: Path) -> None:
    if source.is_dir() or not target.is_file() or not filecmp.cmp(source, target, shallow=False):
        raise MimctlError(
            f"`{target}` is there already and is another file than the data set's",
            code="data-in-the-way",
            causes=["nothing of what was there is overwritten"],
            hints=["move it away, or bring the data set to another folder: `--dest DIR`"],
        )


def _meetings(tree: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield (new, there) of each name that both have and that are not both folders."""
    for source in sorted(tree.iterdir()):
        target = folder / source.name
        if source.is_dir() and target.is_dir():
            yield from _meetings(source, target)
        elif os.path.lexists(target):
            yield source, target


def _merge(tree: Path, folder: Path) -> None:
    for source in sorted(tree.iterdir()):
        target = folder / source.name
        if source.is_dir() and target.is_dir():
            _merge(source, target)
            source.rmdir()
        elif os.path.lexists(target):
            source.unlink()  # the same bytes are there
        else:
            _move(source, target)


def _move(source: Path, target: Path) -> None:
    """Rename; where the folder is a link to another disk, copy beside the place and rename there."""
    try:
        source.rename(target)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.moving")
        if source.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(source, beside)
            beside.rename(target)
            shutil.rmtree(source)
        else:
            shutil.copyfile(source, beside)
            beside.replace(target)
            source.unlink()


def _identity(file: DataFile) -> dict[str, object]:
    address = hashlib.sha256(file.urls[0].encode()).hexdigest()  # which may hold a secret itself
    facts = {"address": address, "size": file.size, "sha256": file.sha256, "md5": file.md5}
    return {name: value for name, value in facts.items() if value is not None}
