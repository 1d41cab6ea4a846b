"""What an answer must be like for its bytes to be taken for a file's: the same file, the right place, no web page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from mimctl.errors import IntegrityError
from mimctl.transfer.address import redact
from mimctl.transfer.http.exchange import Reply
from mimctl.transfer.http.faults import PassingError
from mimctl.transfer.pieces.board import Span
from mimctl.transfer.storage import Validators
from mimctl.transfer.verify import Expected

PLAIN = {"Accept-Encoding": "identity"}
"""Headers of every request for a file: ranges and hashes are those of its bytes, not of what packs them."""

_HTML_NAMES = frozenset({".html", ".htm", ".xhtml", ".xml", ".svg"})
_PACKED_NAMES = frozenset({".gz", ".tgz", ".svgz"})
_HTML_START = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script|meta)\b", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_STRONG_DATE_S = 60.0


def validators_of(url: str, headers: Mapping[str, str], total: int | None) -> Validators:
    """Return what an answer says of the file; its date only where it tells one content from another."""
    return Validators(address=digest_of(url), etag=headers.get("ETag"), last_modified=_strong_date(headers), size=total)


def digest_of(url: str) -> str:
    """Return what a partial file remembers of its address, which may hold a secret."""
    return hashlib.sha256(url.encode()).hexdigest()


def headers_for(span: Span, validators: Validators) -> dict[str, str]:
    """Return the headers that ask for what a stretch lacks, if the file is still the same."""
    is_last = validators.size is None or span.limit == validators.size
    last = "" if is_last else str(span.limit - 1)
    headers = {**PLAIN, "Range": f"bytes={span.at}-{last}"}
    if validators.if_range is not None:
        headers["If-Range"] = validators.if_range
    return headers


def promised_end(reply: Reply, span: Span, validators: Validators, *, has_hash: bool) -> int | None:
    """Return the offset behind the last byte of a piece, None where it is not one of the same file at the right place.

    Not all servers honour `If-Range`, so what the answer says itself has to be the same; it may say nothing only where
    a hash will tell.
    """
    found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
    if reply.status != 206 or found is None or int(found[1]) != span.at or int(found[2]) < span.at:
        return None
    if found[3] != "*" and validators.size is not None and int(found[3]) != validators.size:
        return None
    name, known = ("ETag", validators.etag) if validators.etag is not None else ("Last-Modified", None)
    known = known or validators.last_modified
    said = reply.headers.get(name, known if has_hash else None)
    return int(found[2]) + 1 if said == known else None


def first_bytes(reply: Reply, num_bytes: int) -> bytes:
    """Return the beginning of a body: enough of it to tell what it is, or all."""
    first = b""
    while len(first) < 512 and (chunk := reply.read(num_bytes)):
        first += chunk
    return first


def check_is_file(reply: Reply, first: bytes, url: str, dest: Path, expected: Expected) -> None:
    """Raise where a whole answer is not the file: a web page, packed by the server, nothing, of unknown length.

    Raises IntegrityError (`html-instead-of-file`, `packed-by-server`, `length-unknown`) or PassingError.
    """
    _check_not_html(reply, first, url, dest, expected)
    if expected.has_hash:
        return  # which tells
    packing = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "") and dest.suffix.lower() not in _PACKED_NAMES:
        raise IntegrityError(
            f"`{redact(url)}` comes packed, though the file itself was asked for",
            code="packed-by-server",
            causes=["the server packs what it sends, and no hash of the file is known to tell its bytes by"],
            hints=["tell who keeps the server that it ignores `Accept-Encoding: identity`"],
        )
    if reply.number("Content-Length") is None and not _is_chunked(reply) and expected.size is None:
        raise IntegrityError(
            f"nothing says where the file from `{redact(url)}` ends",
            code="length-unknown",
            causes=["the server tells no length and closes the connection at the end, as a broken connection does"],
            hints=["fetch it from another server, or from an index that tells its length or its hash"],
        )
    if not first and expected.size is None:
        raise PassingError("the answer was empty")


def _is_chunked(reply: Reply) -> bool:
    return reply.headers.get("Transfer-Encoding", "").strip().lower() == "chunked"


def _check_not_html(reply: Reply, first: bytes, url: str, dest: Path, expected: Expected) -> None:
    """Refuse a sign-in or error page that is served as if it were the file."""
    if dest.suffix.lower() in _HTML_NAMES:
        return
    says_html = "html" in reply.headers.get("Content-Type", "").lower()
    if _HTML_START.match(first) or (says_html and not expected.has_hash):
        raise IntegrityError(
            f"`{redact(url)}` gave a web page instead of the file",
            code="html-instead-of-file",
            causes=[f"{reply.headers.get('Content-Type', 'no Content-Type')}, from `{redact(reply.url)}`"],
            hints=["open the address in a browser: a network's sign-in page may be in the way"],
        )


def _strong_date(headers: Mapping[str, str]) -> str | None:
    """Return `Last-Modified` where the server's own clock is well past it (RFC 9110, 8.8.2.2): a file may change twice
    in a second. The clock of this machine does not matter.
    """
    from email.utils import parsedate_to_datetime

    found = headers.get("Last-Modified")
    try:
        age = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(found or "")
    except (KeyError, ValueError, TypeError):
        return None
    return found if age.total_seconds() >= _STRONG_DATE_S else None
