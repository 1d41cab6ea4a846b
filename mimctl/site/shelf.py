"""Fills the folder of wheels of a new index: each is copied, read and audited once, or linked where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mimctl.errors import IntegrityError
from mimctl.index.model import IndexFile
from mimctl.site.entry import Entry, clean_reason, read_entry
from mimctl.site.known import Known, Stamp, stamp_of
from mimctl.site.layout import copy, link, make_folder, write_bytes
from mimctl.site.published import Published
from mimctl.wheels.wheelfile import hash_file


@dataclass(frozen=True, slots=True)
class _Place:
    """A file that bears a name already: where, with which contents."""

    shown: str
    sha256: str


class Shelf:
    """The folder `files/` while it is being filled.

    `promised` are the wheels of the index `old` that is replaced: a name in it may come again with the same contents
    only, and stays withdrawn.
    """

    def __init__(self, folder: Path, *, known: Known, promised: Mapping[str, Entry], old: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self.sources: dict[str, tuple[Stamp, str]] = {}
        make_folder(folder)
        self._folder = folder
        self._known = known
        self._promised = promised
        self._old = old / "files"
        self._places = {name: _Place(str(old), entry.sha256) for name, entry in promised.items()}

    def take(self, path: Path) -> None:
        """Put a wheel of this machine on the shelf.

        Raises IntegrityError[duplicate-wheel] where another file has its name, and as `entry.read_entry`.
        """
        stamp = stamp_of(path)
        if stamp is None:
            raise IntegrityError(f"`{path.name}` is no usable wheel", code="bad-wheel", causes=["it is no plain file"])
        sha256 = self._known.hash_of(path, stamp)
        if sha256 is None and path.name in self._known.entries:
            sha256 = hash_file(path)[0]  # cheaper than reading and auditing what is known under another date
        if path.name in self.entries:
            self._check(path.name, _Place(str(path), sha256 or hash_file(path)[0]))
            return
        entry = self._put(path.name, path, sha256, shown=str(path))
        self.sources[str(path)] = (stamp, entry.sha256)

    def take_published(self, index: Published, file: IndexFile) -> None:
        """Put a wheel of a published index on the shelf; fetch it only where its bytes are not here yet.

        Raises IntegrityError[duplicate-wheel] where another file has its name, [hash-mismatch | length-mismatch] where
        the index sends something else than it says, and as `entry.read_entry`.
        """
        assert file.sha256 is not None  # an `index.json` says it of every file
        self._check(file.filename, _Place(index.shown, file.sha256))
        if file.filename not in self.entries:
            old = self._old / file.filename
            if self._known.find(file.filename, file.sha256) is not None:
                self._put(file.filename, old, file.sha256, shown=index.shown)
            else:
                is_here = old.is_file() and hash_file(old) == (file.sha256, file.size)
                path = old if is_here else index.fetch(file)
                self._put(file.filename, path, None, shown=index.shown, expected=file)
        if file.yanked is not None and self.entries[file.filename].yanked is None:
            self._yank(file.filename, clean_reason(file.yanked))

    def _check(self, filename: str, second: _Place) -> None:
        first = self._places.get(filename)
        if first is None or first.sha256 == second.sha256:
            return
        width = max(len(first.shown), len(second.shown))
        raise IntegrityError(
            f"two different wheels are named `{filename}`",
            code="duplicate-wheel",
            causes=[f"{each.shown:<{width}} has sha256 {each.sha256}" for each in (first, second)],
            hints=[
                "give the new build a new version: who has the first must never get another under its name",
                "nobody has it yet? delete the index at `--out`, or remove the stale wheel",
            ],
        )

    def _put(
        self, name: str, path: Path, sha256: str | None, *, shown: str, expected: IndexFile | None = None
    ) -> Entry:
        """Put a wheel in place: linked where its hash is known and the old index holds it, else copied and read."""
        entry = self._known.find(name, sha256) if sha256 else None
        if entry is not None:
            self._check(name, _Place(shown, entry.sha256))
            for each in (name, f"{name}.metadata"):
                link(f"{self._known.files}/{each}", f"{self._folder}/{each}")
        else:
            target = self._folder / name
            copy(path, target)
            if expected is not None and (found := hash_file(target)) != (expected.sha256, expected.size):
                raise _another_file(shown, expected, found[0])
            if name in self._places:
                self._check(name, _Place(shown, hash_file(target)[0]))
            entry, metadata = read_entry(target)
            write_bytes(self._folder / f"{name}.metadata", metadata)
        self.entries[name] = replace(entry, yanked=None)
        self._places.setdefault(name, _Place(shown, entry.sha256))
        if name in self._promised and (reason := self._promised[name].yanked) is not None:
            self._yank(name, reason)
        return entry

    def _yank(self, name: str, reason: str) -> None:
        self.entries[name] = replace(self.entries[name], yanked=reason)


def _another_file(shown: str, expected: IndexFile, found: str) -> IntegrityError:
    return IntegrityError(
        f"`{expected.filename}` of `{shown}` is not the file that its index means",
        code="hash-mismatch",
        causes=[f"sha256 expected {expected.sha256}", f"sha256 found    {found}"],
        hints=["the file was changed after its index was built: build that index again from the published wheel"],
        details={"expected": expected.sha256, "found": found},
    )
