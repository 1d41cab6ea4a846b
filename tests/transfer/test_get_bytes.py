"""`get_bytes`: small documents, entity tags, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import IntegrityError, MimctlError, NetworkError
from mimctl.transfer import TransferSettings, get_bytes


def test_unchanged_document_is_not_sent_again(server: Any, quick: TransferSettings) -> None:
    server.files["/index.json"] = b"{}"
    first = get_bytes(server.address + "/index.json", settings=quick)
    assert (first.status, first.body) == (200, b"{}")
    second = get_bytes(server.address + "/index.json", etag=first.etag, settings=quick)
    assert (second.status, second.body, second.etag) == (304, b"", first.etag)


def test_local_document_has_an_entity_tag_too(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_bytes(b"{}")
    first = get_bytes(path.as_uri())
    assert get_bytes(str(path), etag=first.etag).status == 304
    path.write_bytes(b"{ }")
    assert get_bytes(str(path), etag=first.etag).body == b"{ }"


def test_missing_document_is_an_error_unless_allowed(server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    for address in (server.address + "/gone", str(tmp_path / "gone")):
        assert get_bytes(address, settings=quick, is_missing_ok=True).status == 404
        with pytest.raises(MimctlError):
            get_bytes(address, settings=quick)


def test_faults_are_tried_again(server: Any, quick: TransferSettings) -> None:
    server.files["/index.json"] = b"{}" * 100
    server.will_answer(503)
    server.will_hang_up()
    server.will_serve()
    server.cuts = [50]
    assert get_bytes(server.address + "/index.json", settings=quick).body == b"{}" * 100


def test_too_large_a_document_is_refused(server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    server.files["/index.json"] = bytes(200_000)
    (tmp_path / "big").write_bytes(bytes(200_000))
    for address in (server.address + "/index.json", str(tmp_path / "big")):
        with pytest.raises(IntegrityError) as caught:
            get_bytes(address, settings=quick, max_size=100_000)
        assert caught.value.code == "too-large"


def test_offline_reads_files_only(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert get_bytes(str(tmp_path / "a"), settings=TransferSettings(offline=True)).body == b"x"
    with pytest.raises(NetworkError):
        get_bytes("http://127.0.0.1:9/a", settings=TransferSettings(offline=True))
