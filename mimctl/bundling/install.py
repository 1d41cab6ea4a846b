"""Install from a bundle: check all of it, sync with its lock, put its weights where runs look for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimctl.bundling.check import MANIFEST, problems_of, read_manifest
from mimctl.bundling.data import PublishedData, read_published
from mimctl.bundling.parts import Weights
from mimctl.errors import IntegrityError, UsageError
from mimctl.installer.locking.lockfile import LOCK_NAME
from mimctl.zoo.datasets.place import root_of

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle of which every file is what its manifest says."""

    folder: Path
    weights: tuple[Weights, ...] = ()
    folders: tuple[Path, ...] = ()
    """Of data, which are used where they lie."""
    published: tuple[PublishedData, ...] = ()
    """Data sets that are brought to where configs look for them."""

    @property
    def lock(self) -> Path:
        """Return its lock file."""
        return self.folder / LOCK_NAME

    @property
    def data_dirs(self) -> tuple[Path, ...]:
        """Return where its data lies once it is installed from here."""
        return (*self.folders, *(root_of(each.data_set, None) for each in self.published))


def is_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle, whole or not."""
    try:
        read_manifest(folder)
    except ValueError:
        return False
    return True


def open_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder` after a look at every file of it.

    Raises UsageError[not-a-bundle] where it is none, IntegrityError[damaged-bundle] where a file is missing, changed,
    or was put there by somebody else, UsageError[bad-data-set] for data that this mimctl cannot read.
    """
    folder = folder.absolute()
    try:
        manifest = read_manifest(folder)
    except ValueError as err:
        raise UsageError(
            f"`{folder}` is no bundle",
            code="not-a-bundle",
            causes=[str(err)],
            hints=["make one where there is a network: `mimctl bundle DIR det`"],
        ) from err
    problems = problems_of(folder, manifest["files"])
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise IntegrityError(
            f"`{folder.name}` is not as it was made",
            code="damaged-bundle",
            causes=[*problems[:_SHOWN], *more],
            hints=["copy the bundle again", "nothing was installed"],
        )
    weights = tuple(_weights(each, folder, manifest["files"]) for each in manifest.get("weights", ()))
    said = manifest.get("datasets", ())
    return Bundle(
        folder=folder,
        weights=weights,
        folders=tuple(folder / str(each["path"]) for each in said if "description" not in each),
        published=tuple(read_published(folder, each, manifest["files"]) for each in said if "description" in each),
    )


def _weights(said: Mapping[str, Any], folder: Path, files: Mapping[str, Any]) -> Weights:
    """Return weights that the manifest lists among its files too: those were checked."""
    place, sha256 = str(said.get("path")), str(said.get("sha256"))
    if files.get(place, {}).get("sha256") != sha256:
        raise IntegrityError(
            f"`{folder.name}` is not as it was made", code="damaged-bundle", causes=[f"{MANIFEST}: {place!r}"]
        )
    return Weights(url=str(said.get("url")), path=folder / place, sha256=sha256)
