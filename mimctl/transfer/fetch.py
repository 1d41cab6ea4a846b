"""Fetch one file to its place: from a cache, a path, a server or a store; verified, renamed atomically."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.transfer.address import is_elsewhere, is_remote, local_path
from mimctl.transfer.cache import mark_used
from mimctl.transfer.http.answers import validators_of
from mimctl.transfer.http.connection import Line, line
from mimctl.transfer.http.faults import offline
from mimctl.transfer.hub import is_hub
from mimctl.transfer.model import Note, Progress, TransferSettings
from mimctl.transfer.resume import Fetch
from mimctl.transfer.shared import give, take
from mimctl.transfer.storage import Part, check_room, disk_errors, locked
from mimctl.transfer.verify import Digests, Expected

_DEFAULT = TransferSettings()


def download(
    url: str,
    dest: Path,
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    settings: TransferSettings = _DEFAULT,
    progress: Progress | None = None,
    note: Note | None = None,
    named_by: str | None = None,
    opened: Line | None = None,
) -> Path:
    """Fetch `url` (http, https, hf, s3, gs, `file://` or a path) to the file `dest` and return it.

    A file that is there already and has the wanted hash is left as it is. Otherwise the bytes grow in
    `<dest>.part`, survive an interruption, and replace `dest` only when length and hash (`sha256`, its first digits
    `sha256_prefix`, `md5`) are right. `named_by` is the address of the document that names `url` (empty: a file of
    this machine), None where a person typed it: what a document names may not be nearer to this machine than itself.
    `opened` is a line that serves several files in turn. What the Hugging Face Hub tells of an `hf://` file holds too.
    Raises NetworkError (`offline`, `network`), IntegrityError (`hash-mismatch`, `length-mismatch`,
    `html-instead-of-file`) or MimctlError (`http-status`, `bad-redirect`, `unsafe-address`, `missing-file`,
    `disk-full`, `no-permission`, `cannot-write`, `missing-extra`, `store-refused`); after each of them `dest` is as
    before.
    """
    expected = Expected(sha256=sha256, sha256_prefix=sha256_prefix, md5=md5, size=size)
    fetch_file(url, dest, expected, settings=settings, progress=progress, note=note, named_by=named_by, opened=opened)
    return Path(dest)


def fetch_file(
    url: str,
    dest: Path,
    expected: Expected,
    *,
    settings: TransferSettings = _DEFAULT,
    progress: Progress | None = None,
    note: Note | None = None,
    named_by: str | None = None,
    opened: Line | None = None,
) -> Digests:
    """Fetch `url` to `dest` as `download` does, and return the hashes of it that were computed for that.

    Who wants to know them need not read the file again.
    """
    dest = Path(dest)
    digests = _of_kept(dest, expected)
    if digests is not None:
        mark_used(dest)
        return digests
    source = None if is_elsewhere(url) else local_path(url)
    if source is None and settings.offline and not _is_shared(settings, expected, dest):
        raise offline(url)
    with disk_errors(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
    if expected.has_hash and dest.is_file() and note is not None:
        note(f"`{dest}` is not what its hash says; it is fetched anew")
    with locked(dest, note), disk_errors(dest):
        digests = _of_kept(dest, expected)  # another process may have brought it while this one waited
        if digests is None:
            if source is not None:
                digests = _copy(source, dest, expected)
            elif _take_shared(settings, dest, expected, note):
                _tell_whole(dest, progress)
                digests = {"sha256": str(expected.sha256)}
            elif settings.offline:
                raise offline(url)
            else:
                digests = _fetch(url, dest, expected, settings, progress, note, named_by, opened)
                _give_shared(settings, dest, expected)
    return digests


def _fetch(
    url: str,
    dest: Path,
    expected: Expected,
    settings: TransferSettings,
    progress: Progress | None,
    note: Note | None,
    named_by: str | None,
    opened: Line | None,
) -> Digests:
    """Bring the file over the network, by the way that its address names."""
    if is_hub(url):
        from mimctl.transfer.hub_facts import as_told

        url, expected = as_told(url, expected, settings=settings, note=note, named_by=named_by)
    if not is_remote(url):
        from mimctl.transfer.stores import fetch_from_store

        return fetch_from_store(url, dest, expected, settings=settings, progress=progress, note=note)
    with settings.allowance.one(), line(settings) if opened is None else nullcontext(opened) as speaking:
        return Fetch(speaking, url, dest, expected, progress, note, named_by).run()


def _is_shared(settings: TransferSettings, expected: Expected, dest: Path) -> bool:
    folder = settings.shared_cache
    return folder is not None and expected.sha256 is not None and (folder / expected.sha256 / dest.name).exists()


def _take_shared(settings: TransferSettings, dest: Path, expected: Expected, note: Note | None) -> bool:
    """Copy the file out of the cache of several users where it is there; say so where it is not what it should be."""
    if settings.shared_cache is None or expected.sha256 is None:
        return False
    part = Part(dest=dest)
    if part.size():
        return False  # what was begun is continued
    try:
        with part.begin(validators_of("", {}, None)) as out:
            is_right = take(settings.shared_cache, expected.sha256, dest.name, out, max_size=expected.size)
        if is_right:
            part.place()
            return True
    except BaseException:
        part.discard()
        raise
    part.discard()
    if is_right is False and note is not None:
        note(f"`{dest.name}` in the shared cache is not what its name says; it is fetched anew")
    return False


def _give_shared(settings: TransferSettings, dest: Path, expected: Expected) -> None:
    if settings.shared_cache is not None and expected.sha256 is not None:
        give(settings.shared_cache, expected.sha256, dest)


def _tell_whole(dest: Path, progress: Progress | None) -> None:
    if progress is not None:
        size = dest.stat().st_size
        progress(size, size)


def _of_kept(dest: Path, expected: Expected) -> Digests | None:
    """Return the hashes of a file that is there already, None where it is not, or may not be the wanted one."""
    digests: Digests = {}
    is_wanted = expected.has_hash and dest.is_file() and expected.problem(dest, "", digests) is None
    return digests if is_wanted else None


def _copy(source: Path, dest: Path, expected: Expected) -> Digests:
    if not source.is_file():
        raise MimctlError(
            f"no file `{source}`", code="missing-file", causes=["it is not there, or is a folder"], hints=[]
        )
    digests: Digests = {}
    problem = expected.problem(source, str(source), digests)
    if problem is not None:
        raise problem
    part = Part(dest=dest)
    check_room(dest, source.stat().st_size)
    try:
        with source.open("rb") as taken, part.begin(validators_of(str(source), {}, None)) as given:
            shutil.copyfileobj(taken, given, 1 << 20)
        part.place()
    except BaseException:
        part.discard()
        raise
    return digests
