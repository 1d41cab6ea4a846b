"""Read a piece of a remote file, so that a wheel's metadata need not cost the whole wheel."""

from __future__ import annotations

import re

from mimctl.errors import MimctlError
from mimctl.transfer.address import is_remote, local_path
from mimctl.transfer.document import Piece
from mimctl.transfer.http.connection import Line, line
from mimctl.transfer.http.exchange import exchange
from mimctl.transfer.http.faults import PassingError, offline
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.model import Note, TransferSettings

MAX_PIECE = 64 << 20
"""Bytes that one request may ask for."""

_CHUNK = 1 << 16
_DEFAULT = TransferSettings()
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


def read_range(
    url: str,
    start: int,
    end: int | None = None,
    *,
    etag: str | None = None,
    settings: TransferSettings = _DEFAULT,
    named_by: str | None = None,
    opened: Line | None = None,
    note: Note | None = None,
) -> Piece | None:
    """Return the bytes `start` to `end` (exclusive) of a file, or its last `-start` bytes where `start` is negative.

    A piece ends where the file does. None where the server does not give just that: it knows no ranges, the file is
    no longer the one of `etag`, what it sends is not what was asked for; then the whole file is to be fetched.
    `named_by` is as `download` has it. At most `MAX_PIECE` bytes (ValueError).
    Raises NetworkError (`offline`, `network`) and MimctlError (`http-status`, `bad-redirect`, `unsafe-address`,
    `missing-file`).
    """
    wanted = -start if start < 0 else (end or 0) - start
    if not 0 < wanted <= MAX_PIECE or (start < 0 and end is not None):
        raise ValueError(f"no piece of a file: {start} to {end}")
    if not is_remote(url):
        return _read_local(url, start, wanted)
    if settings.offline:
        raise offline(url)
    if opened is not None:
        return _ask(opened, url, start, wanted, etag, named_by, settings, note)
    with line(settings) as own:
        return _ask(own, url, start, wanted, etag, named_by, settings, note)


def _ask(
    opened: Line,
    url: str,
    start: int,
    wanted: int,
    etag: str | None,
    named_by: str | None,
    settings: TransferSettings,
    note: Note | None,
) -> Piece | None:
    span = f"-{wanted}" if start < 0 else f"{start}-{start + wanted - 1}"
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={span}"}
    if etag is not None and not etag.startswith("W/"):
        headers["If-Range"] = etag

    def attempt() -> Piece | None:
        with exchange(opened, url, headers=headers, named_by=named_by) as reply:
            found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
            if reply.status != 206 or found is None:
                return None
            first, last, total = (int(number) for number in found.groups())
            begin = max(0, total - wanted) if start < 0 else start
            if (first, last) != (begin, min(begin + wanted, total) - 1):
                return None
            if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
                return None
            body = bytearray()
            while chunk := reply.read(_CHUNK):
                body += chunk
                if len(body) > last - first + 1:
                    return None
            if len(body) != last - first + 1:
                raise PassingError(f"the connection closed after {len(body)} of {last - first + 1} bytes")
            return Piece(body=bytes(body), start=first, total=total, etag=reply.headers.get("ETag"))

    return with_retries(attempt, url=url, settings=settings, note=note, wait=opened.wait)


def _read_local(url: str, start: int, wanted: int) -> Piece:
    path = local_path(url)
    try:
        with path.open("rb") as stream:
            total = stream.seek(0, 2)
            begin = max(0, total - wanted) if start < 0 else start
            stream.seek(begin)
            return Piece(body=stream.read(wanted), start=begin, total=total, etag=None)
    except OSError as problem:
        raise MimctlError(f"cannot read `{path}`", code="missing-file", causes=[str(problem.strerror)]) from problem
