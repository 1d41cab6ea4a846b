"""One table of what goes wrong on the way: the file is right, or there is an error, and nothing else has its name."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from mimctl.errors import MimctlError, render
from mimctl.transfer import TransferSettings, download
from mimctl.transfer.allowance import Allowance
from tests.transfer.faults import (
    PAGE,
    Fault,
    busy,
    busy_until,
    chunked,
    cut,
    drips,
    leads,
    packed,
    piece,
    raw,
    resets,
    says,
    stalls,
    to_ranges,
)

BODY = random.Random(4).randbytes(300_007)
OTHER = random.Random(5).randbytes(300_007)
N = len(BODY)
HALF = N // 2
ETAG = {"ETag": '"one"'}
HEAD = f'HTTP/1.1 200 OK\r\nContent-Length: {N}\r\nETag: "one"\r\n'.encode()


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the first requests meet, then all others; what is known of the file; how it ends."""

    first: Sequence[Fault] = ()
    always: Fault | None = None
    known: Literal["hash", "size", "nothing"] = "nothing"
    ends: str
    """`right`, or the code of the error."""
    timeout_s: float = 30.0
    """Seconds without progress after which the server is given up; short only where that is what is tried."""


NETWORK, WRONG_LENGTH, WRONG_HASH, PAGE_CAME = "network", "length-mismatch", "hash-mismatch", "html-instead-of-file"
BEGUN = cut(BODY, HALF)

TABLE = {
    # The connection.
    "closed without an answer": Row(first=[raw()], ends="right"),
    "closed within the head": Row(first=[raw(HEAD[:40])], ends="right"),
    "closed before the first byte": Row(first=[cut(BODY, 0)], ends="right"),
    "closed after one byte": Row(first=[cut(BODY, 1)], ends="right"),
    "closed before the last byte": Row(first=[cut(BODY, N - 1)], ends="right"),
    "closed again and again": Row(first=[cut(BODY, 9)] * 3, ends="right"),
    "closed always at one place, no ranges": Row(always=BEGUN, ends=NETWORK),
    "reset in the middle": Row(first=[resets(BODY, HALF)], ends="right"),
    "stalls before the head": Row(first=[stalls(b"", 0.5)], ends="right", timeout_s=0.3),
    "stalls in the middle": Row(first=[stalls(HEAD + b"\r\n" + BODY[:HALF], 0.5)], ends="right", timeout_s=0.3),
    "stalls always": Row(always=stalls(HEAD + b"\r\n", 0.5), ends=NETWORK, timeout_s=0.3),
    "drips the head": Row(always=drips(HEAD * 20, 0.05), ends=NETWORK, timeout_s=0.3),
    "drips the body": Row(always=raw(HEAD + b"\r\n", *([b"x"] * 60), pause_s=0.03), ends=NETWORK, timeout_s=0.3),
    # No HTTP, or hardly.
    "no HTTP at all": Row(always=raw(b"SSH-2.0-OpenSSH_9\r\n"), ends=NETWORK),
    "no head (HTTP/0.9)": Row(always=raw(BODY), ends=NETWORK),
    "a flood of headers": Row(always=raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 999 + b"\r\n" + BODY), ends=NETWORK),
    "an endless header": Row(always=raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 999_999), ends=NETWORK),
    "early hints before the answer": Row(
        always=raw(b"HTTP/1.1 103 Early\r\n\r\n" + HEAD + b"\r\n" + BODY), ends="http-status"
    ),
    # The length.
    "length too great": Row(always=says(200, BODY, Content_Length=str(N + 9), **ETAG), ends=NETWORK),
    "length too small, hash known": Row(
        always=says(200, BODY, Content_Length=str(N - 9), **ETAG), known="hash", ends=WRONG_HASH
    ),
    "length too small, size known": Row(
        always=says(200, BODY, Content_Length=str(N - 9), **ETAG), known="size", ends=WRONG_LENGTH
    ),
    "length too great, size known": Row(
        always=says(200, BODY, Content_Length=str(N + 9), **ETAG), known="size", ends=WRONG_LENGTH
    ),
    "length that is no number": Row(always=says(200, BODY, Content_Length="many"), ends="length-unknown"),
    "no length": Row(always=says(200, BODY, Content_Length=""), ends="length-unknown"),
    "no length, size known": Row(always=says(200, BODY, Content_Length=""), known="size", ends="right"),
    "no length, hash known": Row(always=says(200, BODY, Content_Length=""), known="hash", ends="right"),
    "no length, closed early, size known": Row(
        always=says(200, BODY[:HALF], Content_Length=""), known="size", ends=WRONG_LENGTH
    ),
    "no length, closed early, hash known": Row(
        always=says(200, BODY[:HALF], Content_Length=""), known="hash", ends=WRONG_HASH
    ),
    "no length and no end": Row(always=says(200, BODY * 9, Content_Length=""), known="size", ends=WRONG_LENGTH),
    "chunks": Row(always=chunked(BODY), ends="right"),
    "chunks that break off": Row(first=[chunked(BODY, is_whole=False)], ends="right"),
    "chunks that always break off": Row(always=chunked(BODY, is_whole=False), ends=NETWORK),
    "chunks of no size": Row(always=chunked(BODY, size="size"), ends=NETWORK),
    "an empty answer": Row(first=[says(200)], ends="right"),
    "always an empty answer": Row(always=says(200), ends=NETWORK),
    # Ranges. The first answer breaks off, or several connections ask for pieces.
    "ranges ignored": Row(first=[BEGUN], always=says(200, BODY, **ETAG), ends="right"),
    "rest from a wrong place": Row(first=[BEGUN, piece(BODY[9:], f"bytes 9-{N - 1}/{N}")], ends="right"),
    "rest of another length": Row(first=[BEGUN, piece(BODY[HALF:], f"bytes {HALF}-{N + 8}/{N + 9}")], ends="right"),
    "rest with no Content-Range": Row(first=[BEGUN, piece(BODY[HALF:], "")], ends="right"),
    "rest in another unit": Row(first=[BEGUN, piece(BODY[HALF:], f"pages {HALF}-{N - 1}/{N}")], ends="right"),
    "rest in several parts": Row(
        first=[BEGUN, piece(BODY[HALF:], "", Content_Type="multipart/byteranges; boundary=x")], ends="right"
    ),
    "rest of another tag": Row(
        first=[BEGUN, piece(OTHER[HALF:], f"bytes {HALF}-{N - 1}/{N}", ETag='"two"')], ends="right"
    ),
    "rest without a tag": Row(first=[BEGUN, piece(OTHER[HALF:], f"bytes {HALF}-{N - 1}/{N}", ETag="")], ends="right"),
    "rest shorter than it says": Row(first=[BEGUN, piece(BODY[HALF:-9], f"bytes {HALF}-{N - 1}/{N}")], ends="right"),
    "rest that is wrong, hash known": Row(
        first=[BEGUN, piece(OTHER[HALF:], f"bytes {HALF}-{N - 1}/{N}")], known="hash", ends="right"
    ),
    "rest not satisfiable (416)": Row(first=[BEGUN, to_ranges(says(416, Content_Range="bytes */9"))], ends="right"),
    "rest forbidden": Row(first=[BEGUN], always=to_ranges(says(403)), ends="http-status"),
    "a piece where all was asked for": Row(always=says(206, BODY[:9], Content_Range=f"bytes 0-8/{N}"), ends=NETWORK),
    # What the server says.
    "500 once": Row(first=[says(500, PAGE)], ends="right"),
    "502 once": Row(first=[says(502, PAGE)], ends="right"),
    "503 once": Row(first=[says(503, PAGE)], ends="right"),
    "504 once": Row(first=[says(504, PAGE)], ends="right"),
    "408 once": Row(first=[says(408, PAGE)], ends="right"),
    "503 always": Row(always=says(503, PAGE), ends=NETWORK),
    "429, wait a moment": Row(first=[busy(429, "0")], ends="right"),
    "429, wait an hour": Row(always=busy(429, "3600"), ends=NETWORK),
    "429, wait for ever": Row(always=busy(429, "9" * 400), ends=NETWORK),
    "429 until a time": Row(first=[busy_until(0)], ends="right"),
    "429 until a time, clock an hour ahead": Row(first=[busy_until(0, clock_s=3600)], ends="right"),
    "429 until a time, clock a day behind": Row(always=busy_until(60, clock_s=-86_400), ends=NETWORK),
    "429 until no time": Row(first=[busy(429, "soon")], ends="right"),
    "404": Row(always=says(404, PAGE), ends="http-status"),
    "403": Row(always=says(403, PAGE), ends="http-status"),
    "401": Row(always=says(401, PAGE), ends="http-status"),
    "204": Row(always=says(204, Content_Length=""), ends="http-status"),
    "304 unasked": Row(always=says(304, Content_Length=""), ends=NETWORK),
    # Redirects.
    "redirect to itself": Row(always=leads("/w.pth"), ends="bad-redirect"),
    "redirect to nowhere": Row(always=says(302), ends="http-status"),
    "redirect to a file": Row(always=leads("file:///etc/passwd"), ends="bad-redirect"),
    "redirect to FTP": Row(always=leads("ftp://127.0.0.1/w.pth"), ends="bad-redirect"),
    "redirect to no address": Row(always=leads("http://[::1/w.pth"), ends=NETWORK),
    "redirect to a metadata service": Row(always=leads("http://169.254.169.254/latest/"), ends="unsafe-address"),
    "redirect to a sign-in page": Row(first=[leads("/portal")], always=says(200, PAGE), ends=PAGE_CAME),
    # Not the file.
    "sign-in page": Row(always=says(200, PAGE, Content_Type="text/html"), known="hash", ends=PAGE_CAME),
    "sign-in page, said to be bytes": Row(always=says(200, PAGE), ends=PAGE_CAME),
    "sign-in page, byte by byte": Row(
        always=drips(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE, 0), ends=PAGE_CAME
    ),
    "sign-in page for the rest": Row(first=[BEGUN], always=to_ranges(says(200, PAGE)), ends=PAGE_CAME),
    "said to be a page, nothing known": Row(always=says(200, BODY, Content_Type="text/html"), ends=PAGE_CAME),
    "said to be a page, hash known": Row(always=says(200, BODY, Content_Type="text/html"), known="hash", ends="right"),
    "packed in gzip": Row(always=packed(BODY), ends="packed-by-server"),
    "packed in gzip, size known": Row(always=packed(BODY), known="size", ends=WRONG_LENGTH),
    "packed in gzip, hash known": Row(always=packed(BODY), known="hash", ends=WRONG_HASH),
    "another file of the same length": Row(always=says(200, OTHER), known="hash", ends=WRONG_HASH),
    "half of the file": Row(always=says(200, BODY[:HALF]), known="hash", ends=WRONG_HASH),
}


@pytest.fixture
def settings() -> TransferSettings:
    return TransferSettings(retries=3, backoff_s=0.01, max_wait_s=1.5, patience_s=0.02, least_piece=1 << 14)


def run(server: Any, dest: Path, known: str, settings: TransferSettings) -> str:
    """Download; return `right`, or the code of the error."""
    facts = {"hash": {"sha256": hashlib.sha256(BODY).hexdigest()}, "size": {"size": N}, "nothing": {}}
    try:
        download(f"{server.address}/w.pth", dest, settings=settings, **facts[known])
    except MimctlError as problem:
        assert len(render(problem).splitlines()) >= 2, "an error says what happened, and why"
        return problem.code
    return "right"


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("name", TABLE)
def test_a_file_is_right_or_there_is_an_error(
    server: Any, tmp_path: Path, settings: TransferSettings, name: str, connections: int
) -> None:
    """With four connections the server dawdles, so that all four are used wherever it lets them."""
    row, dest = TABLE[name], tmp_path / "w.pth"
    server.tags["/w.pth"] = '"one"'
    server.files["/w.pth"] = BODY
    server.headers["/w.pth"] = {"Accept-Ranges": "bytes"}
    server.chunk_delay_s = 0.0 if connections == 1 else 0.001
    server.faults, server.always = list(row.first), row.always
    dest.write_bytes(b"what was there before")
    ended = run(server, dest, row.known, replace(settings, timeout_s=row.timeout_s, allowance=Allowance(connections)))
    assert ended == row.ends
    assert dest.read_bytes() == (BODY if ended == "right" else b"what was there before")
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"w.pth", "w.pth.part", "w.pth.part.json"}
    if ended in ("right", WRONG_HASH, WRONG_LENGTH):
        assert left == {"w.pth"}
