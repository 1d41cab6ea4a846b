"""Bring a data set to this disk: each file fetched and verified, unpacked beside, moved into its place when whole."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from mimctl.errors import MimctlError
from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note, locked
from mimctl.transfer.storage import check_room, disk_errors
from mimctl.zoo.datasets.incoming import Source
from mimctl.zoo.datasets.place import ARCHIVES, RECORD, Place, move_file, move_into, root_of
from mimctl.zoo.datasets.table import DataFile, DataSet
from mimctl.zoo.datasets.unpack import bad_archive, most_bytes_of, remove_tree, unpack

Check: TypeAlias = Literal["sha256", "md5", "none"]
"""What stands behind the bytes: the best hash that was published."""

State: TypeAlias = Literal["new", "there", "kept"]
"""Brought now; brought before; there already by another way, and left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFile:
    """What became of one file of a data set."""

    part: str
    name: str
    check: Check
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedData:
    """A data set that lies on disk in `root`."""

    data_set: DataSet
    root: Path
    files: tuple[FetchedFile, ...]

    @property
    def is_new(self) -> bool:
        """Return whether anything was brought now."""
        return any(each.state == "new" for each in self.files)

    @property
    def train(self) -> dict[str, Path]:
        """Return toolbox → the folder that its `train --data` reads."""
        return {toolbox: self.root / inner for toolbox, inner in self.data_set.train.items()}


def fetch_data_set(
    data_set: DataSet,
    *,
    dest: Path | None = None,
    parts: Sequence[str] = (),
    keeps_archives: bool = False,
    settings: Settings,
    mirrors: Mapping[str, str] | None = None,
    at_hand: Path | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> FetchedData:
    """Bring the files of `parts` (none: all that are not optional) to `dest`, else to where configs look for them.

    What is there is left as it is; what was begun goes on where it stopped. Archives go when they are unpacked, unless
    `keeps_archives`. `mirrors` maps a host to the address that stands for it, before those of the settings;
    `at_hand` is a folder in which files lie by their names, which is looked into before any address is asked.
    Raises UsageError[unknown-dataset], what `transfer.download` raises, IntegrityError[bad-archive],
    UnsafeFileError[unsafe-archive], MimctlError[disk-full | data-in-the-way].
    """
    files = data_set.choose(parts)
    place = Place(root=root_of(data_set, dest), data_set=data_set.name)
    if all(place.is_done(each) for each in files):
        return FetchedData(data_set=data_set, root=place.root, files=tuple(_told(each, "there") for each in files))
    with disk_errors(place.root):
        place.root.mkdir(parents=True, exist_ok=True)
    say = note or (lambda _line: None)
    source = Source(settings=settings, mirrors=mirrors or {}, folder=at_hand, progress=progress, note=say)
    bringing = _Bringing(place=place, source=source, keeps_archives=keeps_archives)
    with locked(place.root / RECORD, note), disk_errors(place.root):
        states = [bringing.state_of(each) for each in files]
        bringing.check_room([each for each, state in zip(files, states, strict=True) if state == "new"])
        for each, state in zip(files, states, strict=True):
            if state == "new":
                bringing.bring(each)
        with contextlib.suppress(OSError):
            (place.root / ARCHIVES).rmdir()  # empty, where none are kept
    return FetchedData(data_set=data_set, root=place.root, files=tuple(map(_told, files, states)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bringing:
    """One request while it lasts."""

    place: Place
    source: Source
    keeps_archives: bool

    def state_of(self, file: DataFile) -> State:
        """Return whether a file has to be brought."""
        if self.place.unpacked(file).is_dir():
            return "new"  # what is left of it has to be moved
        if self.place.is_done(file):
            return "there"
        if self.place.has_all(file):
            shown = ", ".join(f"`{self.place.root / each}`" for each in file.gives)
            self.source.note(f"{shown} is there already: left as it is, not checked")
            return "kept"
        return "new"

    def check_room(self, files: Sequence[DataFile]) -> None:
        """Raise MimctlError[disk-full] where archives and what they unpack to would not fit, as far as is known."""
        needed = 0
        for file in files:
            if self.place.unpacked(file).is_dir():
                continue  # it has only to be moved
            archive = self.place.archive(file)
            part = archive.with_name(f"{archive.name}.part")
            there = next((each.stat().st_size for each in (archive, part) if each.is_file()), 0)
            needed += max(0, (file.size or 0) - there)
            needed += (file.room or file.size or 0) if file.is_archive else 0
        check_room(self.place.root / RECORD, needed)

    def bring(self, file: DataFile) -> None:
        """Fetch, verify, unpack, move into place, write down."""
        unpacked, archive = self.place.unpacked(file), self.place.archive(file)
        folder = self.place.root / file.into
        sha256 = None if unpacked.is_dir() else self.source.fetch(file, archive)
        if not file.is_archive:
            move_file(archive, folder / file.name)
        else:
            if not unpacked.is_dir():
                self._unpack(file, archive, unpacked)
            move_into(unpacked, folder)
        self.place.remember(file)
        if sha256 is not None:
            self.source.pin(file, sha256)
        remove_tree(unpacked)
        if not self.keeps_archives:
            archive.unlink(missing_ok=True)

    def _unpack(self, file: DataFile, archive: Path, unpacked: Path) -> None:
        """Unpack an archive to a folder that gets its name when it is whole; of one that is refused nothing stays."""
        folder = self.place.unpacking(file)
        remove_tree(folder)
        self.source.note(f"unpacking `{file.name}`")
        try:
            self._unpack_all(file, archive, folder)
        except MimctlError:
            remove_tree(folder)
            archive.unlink()
            raise
        except OSError:
            remove_tree(folder)  # the disk is full, say: the archive can be unpacked when there is room
            raise
        folder.rename(unpacked)

    def _unpack_all(self, file: DataFile, archive: Path, folder: Path) -> None:
        """Unpack an archive and those inside it; see that what it should give is there."""
        most = most_bytes_of(archive.stat().st_size, file.room)
        progress, shown = self.source.progress, f"unpacking {file.name}"
        report = None if progress is None else lambda done, total: progress(shown, done, total)
        unpack(archive, folder, shown=file.name, report=report, most_bytes=most)
        for inner in file.inner:
            path = folder / inner
            if not path.is_file():
                raise bad_archive(file.name, f"it does not hold `{inner}`")
            unpack(path, path.parent, shown=inner, most_bytes=most)
            path.unlink()
        for given in file.gives:
            if not (folder / Path(given).relative_to(file.into)).exists():
                raise bad_archive(file.name, f"it does not hold `{given}`")


def _told(file: DataFile, state: State) -> FetchedFile:
    check: Check = "sha256" if file.sha256 else "md5" if file.md5 else "none"
    return FetchedFile(part=file.part, name=file.name, check=check, state=state)
