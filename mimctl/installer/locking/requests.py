"""What a lock is made for: names, files of requirements and wheels, and the folders that may hold its wheels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import mimctl
from mimctl.errors import UsageError
from mimctl.installer.locking.lock import Shelf, Wishes
from mimctl.installer.locking.lockfile import Asked, plain_index, relative_path
from mimctl.installer.locking.reading import Lock
from mimctl.transfer import is_remote, local_path, redact, sha256_of
from mimctl.transfer.address import has_secret

if TYPE_CHECKING:
    from mimctl.index.model import Index
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.asking.words import Placed
    from mimctl.installer.prepare import Places
    from mimctl.resolution.model import Provided


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOptions:
    """What one lock is for; nothing said is what the lock that is there says, else this machine."""

    environments: tuple[str, ...] = ()
    """Words as `cells.cell_for` takes them."""
    pythons: tuple[str, ...] = ()
    """Versions: `3.11`."""
    requirement_files: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    """Folders and pages of wheels beside those of pip's configuration; a lock does not remember them."""
    torch: str | None = None
    variant: str | None = None
    upgrade: bool = False
    upgrade_names: tuple[str, ...] = ()
    pre: bool = False


def asked_of(names: Sequence[str], options: LockOptions, previous: Lock | None, folder: Path, places: Places) -> Asked:
    """Return what a lock in `folder` is for: what was named, else what the lock that is there was made for.

    Raises UsageError[missing-argument] where there is neither, UsageError for an address with a secret in it.
    """
    before = previous.asked if previous is not None else None
    words = tuple(_from_folder(each, folder) for each in names)
    files = tuple(
        each if is_remote(each) else relative_path(Path(each).absolute(), folder) for each in options.requirement_files
    )
    if not words and not files:
        if before is None:
            raise UsageError(
                "nothing to lock was named",
                code="missing-argument",
                hints=["name toolboxes or packages: `mimctl lock det`", "or a file: `mimctl lock -r requirements.txt`"],
            )
        words, files = before.requests, before.requirement_files
    for each in (*words, *files):
        if "://" in each and has_secret(each):
            raise UsageError(
                f"`{redact(each)}` holds a secret and cannot be locked",
                hints=["leave it out: netrc or keyring know logins, for whoever syncs"],
            )
    indexes = tuple(plain_index(each, folder) for each in places.client.addresses)
    return Asked(
        requests=words,
        requirement_files=files,
        indexes=indexes or (before.indexes if before else ()),
        torch=options.torch or (before.torch if before else "auto"),
        variant=options.variant or (before.variant if before else None),
        version=mimctl.__version__,
    )


def gather_asked(asked: Asked, folder: Path, places: Places) -> FileContents:
    """Return what is asked for line by line, with the indexes that files name; raises as `requests.gather`."""
    from mimctl.installer.asking.requests import gather

    files = [each if is_remote(each) else str(folder / each) for each in asked.requirement_files]
    contents = gather(asked.requests, files=files, environ=os.environ, transfer=places.transfer)
    return replace(contents, lines=tuple(replace(line, folder=line.folder or folder) for line in contents.lines))


def wishes_of(contents: FileContents, *, places: Places, index: Index, shelf: Shelf) -> Wishes:
    """Return what is asked for as requirements and wheels; errors as `requests.read_requests`."""
    from mimctl.installer.asking.requests import read_requests

    requests = read_requests(
        contents,
        index=index,
        installed=(),
        is_served=lambda name: bool(shelf.project(name).files),
        provider=_Wheels(places=places),
    )
    return Wishes(wanted=requests.wanted, provided=requests.provided, constraints=requests.constraints)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wheels:
    """Makes distributions of wheels that were named by their place; whatever would be built is refused."""

    places: Places

    def provide(self, place: Placed, *, is_editable: bool = False) -> Provided:
        """Return what a wheel is. Raises UsageError for anything else."""
        from mimctl.index.filenames import NameReader, normalise
        from mimctl.index.model import IndexFile
        from mimctl.installer.locking.lock import not_lockable
        from mimctl.resolution.metadata import parse_metadata, read_wheel_metadata
        from mimctl.resolution.model import Provided
        from mimctl.resolution.store import WheelStore

        filename = place.address.rpartition("/")[2]
        project = normalise(filename.partition("-")[0])
        read = NameReader(project).wheel(filename)
        if is_editable or place.kind != "wheel" or read is None:
            raise not_lockable(place.shown)
        file = IndexFile(
            project=project,
            filename=filename,
            url=place.address,
            sha256=place.sha256,
            size=None,
            version=read[0],
            tags=read[1],
        )
        path = (
            WheelStore(self.places.transfer, self.places.cache_dir).fetch(file)
            if is_remote(place.address)
            else Path(place.address)
        )
        metadata = parse_metadata(read_wheel_metadata(path, file), file)
        return Provided(metadata=metadata, origin=place.shown, wheel=path, sha256=place.sha256 or sha256_of(path))


def index_folders(places: Places) -> tuple[Path, ...]:
    """Return the indexes that are folders of this machine, and folders of pip's configuration: a person named them.

    The pages of an index may lie in a folder `simple` beside its files.
    """
    addresses = [*places.client.addresses, *places.sources.find_links, *places.sources.indexes]
    folders = [local_path(each).absolute() for each in addresses if not is_remote(each)]
    return tuple(folder.parent if folder.name == "simple" else folder for folder in folders)


def _from_folder(word: str, folder: Path) -> str:
    """Return a word as it is to be read from another folder: paths of this machine count from there."""
    from mimctl.installer.asking.words import looks_like_place

    if "://" in word or not looks_like_place(word):
        return word
    return f"./{relative_path(Path(word).expanduser().absolute(), folder)}"
