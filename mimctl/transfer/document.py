"""What reading a document, or a piece of a file, returns; apart, for reading one of this machine needs no more."""

from __future__ import annotations

from typing import NamedTuple


class Response(NamedTuple):
    """A small document held in memory. `status` is 200, 304 (unchanged, empty body) or, where allowed, 404."""

    status: int
    body: bytes
    etag: str | None
    url: str = ""
    """Where it was found at last, redirects followed: what its relative links count from."""
    content_type: str = ""
    cache_control: str = ""


class Piece(NamedTuple):
    """A piece of a remote file."""

    body: bytes
    start: int
    """Offset of its first byte."""
    total: int
    """Length of the whole file in bytes."""
    etag: str | None
