"""Files of a data set on their way here: from a folder that has them, mirrors or their publisher, and verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note, is_remote, redact
from mimctl.transfer.verify import Expected
from mimctl.zoo.datasets.table import DataFile, DataSet
from mimctl.zoo.mirrors import bring, mirrored
from mimctl.zoo.pins import Pin, pin_of
from mimctl.zoo.way import transfer_settings

_FOLDER = "datasets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where files of data sets come from, besides the addresses that their table names, and who is told."""

    settings: Settings
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """Host → the address that stands for it, before those of the settings."""
    folder: Path | None = None
    """Where files lie by their names: asked before any address."""
    progress: FileProgress | None = None
    note: Note = lambda _line: None

    def fetch(self, file: DataFile, dest: Path) -> str | None:
        """Fetch a file to `dest` and verify it; return its SHA-256 where that was not known and is to be pinned.

        Raises what `transfer.download` raises.
        """
        progress = self.progress
        pinned = self._pin_of(file).sha256
        brought = bring(
            self._addresses(file),
            dest,
            Expected(sha256=file.sha256 or pinned, md5=file.md5, size=file.size),
            published=file.urls,
            settings=transfer_settings(self.settings),
            progress=None if progress is None else lambda done, total: progress(file.name, done, total),
            note=self.note,
        )
        if file.unchecked is not None:
            said = "it is the one of the first time" if pinned else "its SHA-256 is remembered"
            self.note(f"`{file.name}`: not checked ({file.unchecked}); {said}")
        is_known = file.sha256 is not None or pinned is not None or not is_remote(file.urls[0])
        return None if is_known else brought.sha256

    def pin(self, file: DataFile, sha256: str) -> None:
        """Remember what a file hashed to that turned out well."""
        self._pin_of(file).write(sha256=sha256, name=file.name, url=redact(file.urls[0]))

    def _addresses(self, file: DataFile) -> list[str]:
        kept = None if self.folder is None else self.folder / file.name
        own = [str(kept)] if kept is not None and kept.is_file() else []
        mirrors = {**self.settings.mirrors, **self.mirrors}
        return [*own, *(each for url in file.urls for each in mirrored(url, mirrors)), *file.urls]

    def _pin_of(self, file: DataFile) -> Pin:
        return pin_of(file.urls[0], self.settings.cache_dir / _FOLDER)


def fetch_files(data_set: DataSet, folder: Path, source: Source) -> None:
    """Fetch and verify the files of a data set that are not optional; they lie in `folder` as they were published.

    What was begun there goes on where it stopped. Raises what `transfer.download` raises.
    """
    for file in data_set.choose(()):
        source.fetch(file, folder / file.name)
