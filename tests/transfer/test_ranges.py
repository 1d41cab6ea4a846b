"""`read_range`: just the piece that was asked for, or a clear no."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import MimctlError, NetworkError
from mimctl.transfer import TransferSettings, read_range
from mimctl.transfer.http.connection import line

BODY = random.Random(3).randbytes(10_000)


@pytest.fixture
def url(server: Any) -> str:
    server.files["/w.whl"] = BODY
    return str(server.address) + "/w.whl"


@pytest.mark.parametrize(
    ("start", "end", "begin"),
    [(0, 10, 0), (9_990, 10_000, 9_990), (9_990, 20_000, 9_990), (-22, None, 9_978), (-20_000, None, 0)],
)
def test_pieces_are_those_of_the_file(
    url: str, server: Any, tmp_path: Path, quick: TransferSettings, start: int, end: int, begin: int
) -> None:
    (tmp_path / "w.whl").write_bytes(BODY)
    for address in (url, str(tmp_path / "w.whl")):
        piece = read_range(address, start, end, settings=quick)
        assert piece is not None
        assert (piece.body, piece.start, piece.total) == (BODY[slice(start, end)], begin, len(BODY))
    assert [each["range"] for each in server.requests] == [
        f"bytes={start}" if start < 0 else f"bytes={start}-{end - 1}"
    ]


def test_a_server_without_ranges_says_no_and_is_not_read(url: str, server: Any, quick: TransferSettings) -> None:
    server.knows_ranges = False
    server.files["/w.whl"] = bytes(64 << 20)
    assert read_range(url, -100, settings=quick) is None
    assert server.num_body_bytes < 64 << 20


def test_a_file_that_changed_is_a_no(url: str, server: Any, quick: TransferSettings) -> None:
    first = read_range(url, -100, settings=quick)
    assert first is not None
    server.files["/w.whl"] = bytes(10_000)
    assert read_range(url, 0, 100, etag=first.etag, settings=quick) is None


def test_a_piece_beyond_the_end_is_an_error_or_a_no(url: str, quick: TransferSettings) -> None:
    assert read_range(url, 20_000, 20_010, settings=quick) is None


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("bytes 1-10/10000", BODY[1:11]),
        ("bytes 0-8/10000", BODY[:9]),
        ("bytes 0-9/*", BODY[:10]),
        ("bytes 0-9/5", BODY[:10]),
        ("items 0-9/10000", BODY[:10]),
        ("bytes 0-9/10000", BODY[:5000]),
        ("bytes 0-9/" + "9" * 5000, BODY[:10]),
    ],
)
def test_another_piece_than_was_asked_for_is_a_no(
    url: str, server: Any, quick: TransferSettings, said: str, body: bytes
) -> None:
    server.will_answer(206, body, Content_Range=said)
    assert read_range(url, 0, 10, settings=quick) is None


def test_a_piece_that_is_cut_is_asked_for_again(url: str, server: Any, quick: TransferSettings) -> None:
    server.cuts = [50]
    piece = read_range(url, 0, 100, settings=quick)
    assert (piece is not None and piece.body) == BODY[:100]


def test_what_is_not_there_is_an_error(server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    for address in (server.address + "/gone", str(tmp_path / "gone")):
        with pytest.raises(MimctlError):
            read_range(address, 0, 10, settings=quick)
    with pytest.raises(NetworkError):
        read_range(server.address + "/w", 0, 10, settings=TransferSettings(offline=True))


@pytest.mark.parametrize(("start", "end"), [(0, None), (5, 5), (0, 65 << 20), (-(65 << 20), None), (-5, 10)])
def test_pieces_without_bounds_are_mistakes(start: int, end: int | None) -> None:
    with pytest.raises(ValueError, match="no piece"):
        read_range("http://127.0.0.1:9/x", start, end)


def test_a_server_that_sends_more_than_was_asked_for_is_let_go(server, quick):
    released = threading.Event()

    def pour(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        try:
            for _ in range(1 << 14):
                handler.wfile.write(bytes(1 << 16))
        except OSError:
            released.set()
        handler.close_connection = True
        return True

    server.faults.append(pour)
    with line(quick) as opened:
        assert read_range(f"{server.address}/file", -100, settings=quick, opened=opened) is None
        assert released.wait(240), "the server still waits to send the rest"
