"""Read a small document into memory: an index page, a listing, a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from mimctl.errors import MimctlError
from mimctl.transfer.address import is_remote
from mimctl.transfer.document import Response
from mimctl.transfer.http.connection import Line, line
from mimctl.transfer.http.exchange import Reply, exchange
from mimctl.transfer.http.faults import PassingError, offline
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.local import read_local, too_large
from mimctl.transfer.model import Note, TransferSettings

_CHUNK = 1 << 16
_DEFAULT = TransferSettings()


def get_bytes(
    url: str,
    *,
    etag: str | None = None,
    settings: TransferSettings = _DEFAULT,
    headers: Mapping[str, str] | None = None,
    max_size: int = 64 << 20,
    is_missing_ok: bool = False,
    note: Note | None = None,
    may_be_packed: bool = False,
    opened: Line | None = None,
) -> Response:
    """Return the document at `url` (http, https, `file://` or a path), at most `max_size` bytes.

    With `may_be_packed` the server may send it in gzip; `max_size` holds for what is in it. `opened` is a line that
    serves several documents in turn. With `etag` of an earlier answer the status is 304 and the body empty where it has
    not changed. With `is_missing_ok` a document that is not there gives status 404 and an empty body.
    Raises NetworkError (`offline`, `network`), IntegrityError (`too-large`) or MimctlError (`http-status`,
    `missing-file`, `bad-redirect`, `unsafe-address`).
    """
    if not is_remote(url):
        return read_local(url, etag=etag, max_size=max_size, is_missing_ok=is_missing_ok)
    if settings.offline:
        raise offline(url)
    sent = {**(headers or {}), "Accept-Encoding": "gzip" if may_be_packed else "identity"}
    sent |= {"If-None-Match": etag} if etag else {}
    try:
        with line(settings) if opened is None else nullcontext(opened) as used:
            return with_retries(
                lambda: _attempt(used, url, sent, max_size), url=url, settings=settings, note=note, wait=used.wait
            )
    except MimctlError as problem:
        if is_missing_ok and problem.details.get("status") in (404, 410):
            return Response(status=404, body=b"", etag=None)
        raise


def _attempt(opened: Line, url: str, headers: Mapping[str, str], most: int) -> Response:
    with exchange(opened, url, headers=headers) as reply:
        tag = reply.headers.get("ETag")
        if reply.status == 304:
            return Response(
                status=304,
                body=b"",
                etag=tag or headers.get("If-None-Match"),
                url=reply.url,
                cache_control=reply.headers.get("Cache-Control", ""),
            )
        if reply.status != 200:
            raise PassingError(f"the server answered {reply.status} to a plain request")
        body = _whole_body(reply, url, most)
        return Response(
            status=200,
            body=body,
            etag=tag,
            url=reply.url,
            content_type=reply.headers.get("Content-Type", ""),
            cache_control=reply.headers.get("Cache-Control", ""),
        )


def _whole_body(reply: Reply, url: str, most: int) -> bytes:
    """Return the body, unpacked where it is in gzip: never more than `most` bytes of it."""
    packing = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip"):
        raise PassingError("the server packed its answer in a way that nobody asked for")
    unpack = _Unpacker() if "gzip" in packing else None
    body, num_sent = bytearray(), 0
    while chunk := reply.read(_CHUNK):
        num_sent += len(chunk)
        body += chunk if unpack is None else unpack.take(chunk, most + 1 - len(body))
        if len(body) > most:
            raise too_large(url, most)
    total = reply.number("Content-Length")
    if total is not None and num_sent != total:
        raise PassingError(f"the connection closed after {num_sent} of {total} bytes")
    if unpack is not None and not unpack.is_whole:
        raise PassingError("what the server packed breaks off")
    return bytes(body)


class _Unpacker:
    """Takes gzip apart piece by piece (RFC 1952), no more of it than there is room for."""

    def __init__(self) -> None:
        import zlib

        self._fault = zlib.error
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def is_whole(self) -> bool:
        """Return whether the end was reached."""
        return self._stream.eof

    def take(self, chunk: bytes, room: int) -> bytes:
        """Return what is in a chunk, at most `room` bytes; raise PassingError where it is no gzip."""
        try:
            return self._stream.decompress(chunk, room)
        except self._fault as problem:
            raise PassingError("what the server packed cannot be unpacked") from problem
