"""The wheels of a command: fetched into the cache by their hashes, and their metadata without the whole wheel."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mimctl.errors import IntegrityError, MimctlError
from mimctl.index.entries import parse_build
from mimctl.index.lines import Lines
from mimctl.index.model import Build, IndexFile
from mimctl.resolution.metadata import MAX_SIZE, described, parse_metadata, read_wheel_build, read_wheel_metadata
from mimctl.resolution.model import Metadata
from mimctl.resolution.parallel import in_parallel
from mimctl.resolution.remote_wheel import read_remote
from mimctl.transfer import (
    Progress,
    TransferSettings,
    download,
    get_bytes,
    is_remote,
    local_path,
    redact,
    sha256_of,
    write_file,
)
from mimctl.transfer.cache import mark_used


class WheelStore:
    """Reads metadata and brings wheels; what it keeps lies under the hash of the wheel."""

    def __init__(self, transfer: TransferSettings, cache_dir: Path, *, lines: Lines | None = None) -> None:
        self._transfer = transfer
        self._guessing = replace(transfer, retries=0)
        self._lines = lines or Lines(transfer)
        self._wheels = cache_dir / "wheels"
        self._documents = cache_dir / "metadata"
        self._known: dict[tuple[str, str], Metadata] = {}

    def metadata(self, file: IndexFile) -> Metadata:
        """Return the core metadata of a wheel: what the index says of it, the document beside it (PEP 658), the member
        of an archive at hand or of one on a server that answers for pieces; the whole wheel comes last.

        Raises IntegrityError[bad-wheel | hash-mismatch], and what the transfer does.
        """
        key = _key(file)
        if key not in self._known:
            self._known[key] = described(file) if file.is_described else parse_metadata(self._document(file), file)
        return self._known[key]

    def prefetch(self, files: Iterable[IndexFile]) -> list[IndexFile]:
        """Read the metadata of several wheels at once, with one try each, and return those of which it is known now.

        A server that gives neither documents nor pieces is left alone: a whole wheel is too much for a guess.
        """
        files = list({_key(file): file for file in files}.values())
        if not self._transfer.offline:
            in_parallel(self._read_far, [file for file in files if not self._is_near(file)])
        return [file for file in files if _key(file) in self._known]

    def build(self, file: IndexFile, *, may_fetch: bool = False) -> Build | None:
        """Return how one of our op wheels was built, from the `build.json` in it, None where it has none.

        Where the server gives no pieces the whole wheel is fetched if it may be, else None too. Raises MimctlError
        [bad-index] where it is not as documented, and what `metadata` does.
        """
        kept = self._kept(file, ".build.json")
        if kept is None:
            path = self._path_at_hand(file)
            if path is not None:
                kept = read_wheel_build(path, file)
            elif not self._transfer.offline:
                with self._lines.lend() as opened:
                    kept = read_remote(file, opened, read_wheel_build, self._transfer)
                if kept is None and may_fetch:
                    kept = read_wheel_build(self.fetch(file), file)
            if kept is None:
                return None
            self._keep(file, kept, ".build.json")
        return parse_build(kept, file.filename) if kept else None

    def fetch(self, file: IndexFile, *, progress: Progress | None = None) -> Path:
        """Return `<cache>/wheels/<sha256>/<file name>`, verified; a file whose hash nobody told gets that of what
        arrives.

        Raises IntegrityError[hash-mismatch] with both hashes, [length-mismatch], and what `transfer.download` does.
        """
        sha256 = file.sha256
        if sha256 is None and not is_remote(file.url):
            sha256 = sha256_of(local_path(file.url)) if local_path(file.url).is_file() else None
        if sha256 is not None:
            return self._download(file, self._wheels / sha256 / file.filename, sha256, progress)
        folder = self._wheels / "unhashed" / hashlib.sha256(file.url.encode()).hexdigest()[:32]
        arrived = self._download(file, folder / file.filename, None, progress)
        dest = self._wheels / sha256_of(arrived) / file.filename
        dest.parent.mkdir(parents=True, exist_ok=True)
        arrived.replace(dest)
        return dest

    def _download(self, file: IndexFile, dest: Path, sha256: str | None, progress: Progress | None) -> Path:
        return download(
            file.url,
            dest,
            sha256=sha256,
            size=file.size,
            settings=self._transfer,
            progress=progress,
            named_by=file.address if is_remote(file.address) else "",
        )

    def _document(self, file: IndexFile) -> bytes:
        """Return the METADATA of a wheel."""
        kept = self._kept(file)
        if kept is not None:
            return kept
        found = self._beside(file, self._transfer) or self._at_hand(file) or self._remote(file, self._transfer)
        if found is None:
            found = read_wheel_metadata(self.fetch(file), file)
        self._keep(file, found)
        return found

    def _is_near(self, file: IndexFile) -> bool:
        """Return whether the metadata of a wheel is known without a server; where it is, read it."""
        if _key(file) in self._known:
            return True
        kept = None if file.is_described else self._kept(file)
        if kept is None and not file.is_described and is_remote(file.url):
            return self._is_cached(file)
        with contextlib.suppress(MimctlError):
            self._known[_key(file)] = parse_metadata(kept, file) if kept is not None else self.metadata(file)
        return True

    def _read_far(self, file: IndexFile) -> None:
        with contextlib.suppress(MimctlError):
            found = self._beside(file, self._guessing) or self._remote(file, self._guessing)
            if found is not None:
                self._known[_key(file)] = parse_metadata(found, file)
                self._keep(file, found)

    def _beside(self, file: IndexFile, settings: TransferSettings) -> bytes | None:
        """Return the document that the index promises beside the wheel, None where there is none after all."""
        if not file.has_metadata:
            return None
        path, mark, query = file.url.partition("?")
        url = f"{path}.metadata{mark}{query}"
        with self._lines.lend() as opened:
            answer = get_bytes(
                url, settings=settings, max_size=MAX_SIZE, is_missing_ok=True, may_be_packed=True, opened=opened
            )
        if answer.status == 404:
            return None
        found = hashlib.sha256(answer.body).hexdigest()
        if file.metadata_sha256 not in (None, found):
            raise IntegrityError(
                f"the metadata of `{file.filename}` is not what was published",
                code="hash-mismatch",
                causes=[f"sha256 expected {file.metadata_sha256}", f"sha256 found    {found}", f"from {redact(url)}"],
                hints=["try again; if it stays so, the server or something on the way serves another file"],
            )
        return answer.body

    def _at_hand(self, file: IndexFile) -> bytes | None:
        """Return what a wheel on this machine says, None where it is not here."""
        path = self._path_at_hand(file)
        return None if path is None else read_wheel_metadata(path, file)

    def _path_at_hand(self, file: IndexFile) -> Path | None:
        if not is_remote(file.url):
            path = local_path(file.url)
            return path if path.is_file() else None
        return self.fetch(file) if self._is_cached(file) else None

    def _is_cached(self, file: IndexFile) -> bool:
        return file.sha256 is not None and (self._wheels / file.sha256 / file.filename).is_file()

    def _remote(self, file: IndexFile, settings: TransferSettings) -> bytes | None:
        if settings.offline:
            return None
        with self._lines.lend() as opened:
            return read_remote(file, opened, read_wheel_metadata, settings)

    def _kept(self, file: IndexFile, ending: str = "") -> bytes | None:
        """Return what is kept under the wheel's hash: of that content, or else nobody's but ours."""
        if file.sha256 is None:
            return None
        path = self._documents / f"{file.sha256}{ending}"
        try:
            facts = path.stat()
            body = path.read_bytes()
        except OSError:
            return None
        mark_used(path)
        if file.metadata_sha256 is not None and not ending:
            return body if hashlib.sha256(body).hexdigest() == file.metadata_sha256 else None
        return body if facts.st_uid == os.getuid() and not facts.st_mode & 0o022 else None

    def _keep(self, file: IndexFile, body: bytes, ending: str = "") -> None:
        if file.sha256 is None or not is_remote(file.url):
            return
        try:
            write_file(self._documents / f"{file.sha256}{ending}", body).chmod(0o644)
        except (MimctlError, OSError):
            return  # a cache that cannot be written is as good as none


def _key(file: IndexFile) -> tuple[str, str]:
    return (file.url, file.filename)
