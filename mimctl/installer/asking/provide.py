"""Turn a place that a person named into a distribution: fetched, built where it has to be, its metadata read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mimctl.environment.model import Environment
from mimctl.errors import IntegrityError, NoCompatibleBuildError, UsageError
from mimctl.index.filenames import NameReader, normalise
from mimctl.index.model import IndexFile
from mimctl.installer.asking.origins import origin_of
from mimctl.installer.asking.words import Placed
from mimctl.installer.backends.backend import Backend
from mimctl.installer.backends.process import Note
from mimctl.resolution.metadata import parse_metadata, read_wheel_metadata
from mimctl.resolution.model import Provided
from mimctl.transfer import TransferSettings, download, sha256_of


class Provider(Protocol):
    """Who makes a distribution of a place."""

    def provide(self, place: Placed, *, is_editable: bool = False) -> Provided:
        """Return the distribution that lies at a place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Fetches and builds for one target; what it makes lies in the cache under its hash."""

    env: Environment
    backend: Backend
    transfer: TransferSettings
    cache_dir: Path
    is_isolated: bool = True
    note: Note | None = None

    def provide(self, place: Placed, *, is_editable: bool = False) -> Provided:
        """Return the distribution that lies at a place; a wheel is verified and fits the target.

        Raises UsageError for what is no project, IntegrityError[bad-wheel | hash-mismatch], MimctlError[build-failed |
        repository], NoCompatibleBuildError, NetworkError.
        """
        if is_editable:
            found = self._editable(place)
        elif place.kind == "wheel":
            found = self._wheel(place)
        else:
            with self._folder(place) as folder:
                found = self._built(folder, place)
        if place.name is not None and normalise(place.name) != found.metadata.name:
            raise IntegrityError(
                f"`{place.shown}` is `{found.metadata.name}`, not `{place.name}`",
                code="bad-wheel",
                causes=["its own metadata says so"],
            )
        return found

    def _wheel(self, place: Placed) -> Provided:
        from mimctl.resolution.store import WheelStore
        from mimctl.selection.tags import supported_tags, why_tags_do_not_fit

        filename = unquote(urlsplit(place.address).path if "://" in place.address else place.address).rpartition("/")[2]
        file = self._file(filename, place)
        if not set(file.tags) & set(supported_tags(self.env)):
            raise NoCompatibleBuildError(
                f"`{filename}` is not for this environment",
                causes=[why_tags_do_not_fit(self.env, file.tags)],
                hints=["name the wheel for it, or the project by its name: the wheel is chosen then"],
            )
        is_fetched = "://" in place.address
        if is_fetched:
            path = WheelStore(self.transfer, self.cache_dir).fetch(file)
        else:
            path = Path(place.address)
            _check_hash(path, place)
        sha256 = place.sha256 or sha256_of(path)
        record = origin_of(replace(place, sha256=sha256)) if is_fetched else None
        metadata = parse_metadata(read_wheel_metadata(path, file), file)
        return Provided(metadata=metadata, origin=place.shown, wheel=path, sha256=sha256, record=record)

    def _file(self, filename: str, place: Placed) -> IndexFile:
        project = normalise(filename.partition("-")[0])
        read = NameReader(project).wheel(filename)
        if read is None:
            raise UsageError(f"`{filename}` is no name of a wheel", code="bad-wheel", causes=["PEP 427 says which are"])
        version, tags = read
        return IndexFile(
            project=project,
            filename=filename,
            url=place.address,
            sha256=place.sha256,
            size=None,
            version=version,
            tags=tags,
        )

    def _editable(self, place: Placed) -> Provided:
        if place.kind != "folder":
            raise UsageError(
                f"`{place.shown}` is no folder",
                causes=["only a folder can stay what is imported"],
                hints=["fetch it first: `git clone ADDRESS`, then `mimctl install -e ./FOLDER`"]
                if place.kind == "repository"
                else ["leave out `-e`"],
            )
        from mimctl.installer.asking.project_file import read_static_metadata

        with self._folder(place) as folder:
            metadata = read_static_metadata(folder) or self._built(folder, place).metadata
            return Provided(metadata=metadata, origin=place.shown, editable=folder)

    def _built(self, folder: Path, place: Placed) -> Provided:
        from mimctl.installer.asking.repository import commit_of

        if self.note is not None:
            self.note(f"Building {place.shown}")
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache_dir, prefix=".build-") as out:
            built = self.backend.build_wheel(folder, Path(out), is_isolated=self.is_isolated, note=self.note)
            file = self._file(built.name, place)
            metadata = parse_metadata(read_wheel_metadata(built, file), file)
            sha256 = sha256_of(built)
            kept = self.cache_dir / "wheels" / sha256 / built.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(built, kept)  # noqa: PTH105  (over what is there: it is the same)
        record = origin_of(place, commit=commit_of(folder) if place.kind == "repository" else None)
        return Provided(metadata=metadata, origin=place.shown, wheel=kept, sha256=sha256, record=record)

    @contextmanager
    def _folder(self, place: Placed) -> Iterator[Path]:
        """Have the sources of a place in a folder for as long as they are worked on."""
        if place.kind == "folder":
            yield _inside(Path(place.address), place)
            return
        from mimctl.installer.asking.archive import unpack
        from mimctl.installer.asking.repository import checked_out

        with tempfile.TemporaryDirectory(prefix="mimctl-") as text:
            temporary = Path(text)
            if place.kind == "repository":
                source = checked_out(place, temporary / "source", offline=self.transfer.offline, note=self.note)
            else:
                source = unpack(self._archive(place, temporary), temporary / "source", shown=place.shown)
            yield _inside(source, place)

    def _archive(self, place: Placed, folder: Path) -> Path:
        if "://" not in place.address:
            _check_hash(Path(place.address), place)
            return Path(place.address)
        filename = unquote(urlsplit(place.address).path).rpartition("/")[2]
        kept = self.cache_dir / "sources" / place.sha256 / filename if place.sha256 else folder / filename
        return download(place.address, kept, sha256=place.sha256, settings=self.transfer)


def _check_hash(path: Path, place: Placed) -> None:
    if place.sha256 is None:
        return
    found = sha256_of(path)
    if found != place.sha256:
        raise IntegrityError(
            f"`{place.shown}` is not the file that was named",
            code="hash-mismatch",
            causes=[f"sha256 expected {place.sha256}", f"sha256 found    {found}"],
        )


def _inside(folder: Path, place: Placed) -> Path:
    """Return the project's own folder; raise UsageError[no-such-place] where it is none."""
    found = folder / place.subdirectory if place.subdirectory else folder
    if any((found / name).is_file() for name in ("pyproject.toml", "setup.py")):
        return found
    where = f" in `{place.subdirectory}`" if place.subdirectory else ""
    raise UsageError(
        f"`{place.shown}` is no Python project",
        code="no-such-place",
        causes=[f"there is neither a pyproject.toml nor a setup.py{where}"],
        hints=["name the folder that holds it; of a repository: `#subdirectory=FOLDER` behind its address"],
    )
