"""Documents may come in gzip where that was asked for, and never grow beyond their limit."""

from __future__ import annotations

import gzip

import pytest
from static_server import serving

from mimctl.errors import IntegrityError, NetworkError
from mimctl.transfer import TransferSettings, get_bytes
from mimctl.transfer.http.connection import line

SETTINGS = TransferSettings(retries=0, timeout_s=5)


@pytest.fixture
def ask(tmp_path):
    """Return what asks for a document that is sent with a given Content-Encoding, and the headers it asked with."""
    with serving(tmp_path) as server:

        def asker(sent: bytes, packing: str, **options):
            said = {}

            def answer(handler):
                said.update(handler.headers)
                handler.send_response(200)
                handler.send_header("Content-Encoding", packing)
                handler.send_header("Content-Length", str(len(sent)))
                handler.end_headers()
                handler.wfile.write(sent)

            server.tricks["/page"] = answer
            return get_bytes(f"{server.address}/page", settings=SETTINGS, **options).body, said

        yield asker


def test_a_packed_document_is_unpacked_where_it_may_be_packed(ask):
    body, said = ask(gzip.compress(b"x" * 100_000), "gzip", may_be_packed=True)
    assert (body, said["Accept-Encoding"]) == (b"x" * 100_000, "gzip")


def test_nothing_packed_is_asked_for_otherwise(ask):
    assert ask(b"plain", "identity")[1]["Accept-Encoding"] == "identity"


def test_a_small_answer_that_unpacks_to_a_flood_is_cut_off(ask):
    with pytest.raises(IntegrityError) as caught:
        ask(gzip.compress(bytes(50 << 20)), "gzip", may_be_packed=True, max_size=1 << 20)
    assert caught.value.code == "too-large"


@pytest.mark.parametrize(
    ("sent", "packing"),
    # No time in what is packed: the test is named by it, and must have the same name in each process of a run.
    [
        (gzip.compress(b"x" * 9999, mtime=0)[:-9], "gzip"),
        (b"no gzip at all", "gzip"),
        (b"x", "br"),
        (b"x", "gzip, gzip"),
    ],
)
def test_what_cannot_be_unpacked_is_no_document(ask, sent, packing):
    with pytest.raises(NetworkError):
        ask(sent, packing, may_be_packed=True)


def test_one_line_serves_several_documents(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with serving(tmp_path) as server, line(SETTINGS) as opened:
        names = ("a", "b", "a")
        found = [get_bytes(f"{server.address}/{name}", settings=SETTINGS, opened=opened).body for name in names]
    assert found == [b"a", b"b", b"a"]
