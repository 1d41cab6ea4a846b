"""Which files may be taken where a person has named hashes, for places too that tell none of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from mimctl.index.model import IndexFile
from mimctl.transfer import is_remote, local_path, sha256_of


def with_named_hash(files: Iterable[IndexFile], named: frozenset[str] | None) -> tuple[IndexFile, ...]:
    """Return the files that have one of the hashes; all of them where none are named.

    A file at hand whose hash nobody tells is looked at; one elsewhere is taken for the file of the only hash that was
    named, which its copy must then have.
    """
    if named is None:
        return tuple(files)
    told = (file if file.sha256 is not None else _told(file, named) for file in files)
    return tuple(file for file in told if file.sha256 in named)


def _told(file: IndexFile, named: frozenset[str]) -> IndexFile:
    if not is_remote(file.url):
        return replace(file, sha256=_hash(file.url))
    return replace(file, sha256=next(iter(named))) if len(named) == 1 else file


@lru_cache(maxsize=256)
def _hash(url: str) -> str | None:
    path = local_path(url)
    return sha256_of(path) if path.is_file() else None
