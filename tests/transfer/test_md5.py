"""Files that were published with an MD5 alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import IntegrityError
from mimctl.transfer import TransferSettings, download
from mimctl.transfer.verify import Expected

BODY = b"pictures" * 9000
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def address(server: Any) -> str:
    """Serve the file and return its address."""
    server.files["/train.tar"] = BODY
    return f"{server.address}/train.tar"


def test_right_md5_passes_and_asks_nobody_again(
    address: str, server: Any, tmp_path: Path, quick: TransferSettings
) -> None:
    for _ in range(2):
        download(address, tmp_path / "train.tar", md5=MD5, settings=quick)
    assert (tmp_path / "train.tar").read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(BODY).hexdigest()])
def test_wrong_md5_is_refused_beside_a_right_sha256_too(
    sha256: str | None, address: str, tmp_path: Path, quick: TransferSettings
) -> None:
    with pytest.raises(IntegrityError) as caught:
        download(address, tmp_path / "train.tar", sha256=sha256, md5="0" * 32, settings=quick)
    assert caught.value.code == "hash-mismatch"
    assert caught.value.causes == (f"md5 expected {'0' * 32}", f"md5 found    {MD5}")
    assert list(tmp_path.iterdir()) == []


def test_md5_of_another_form_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="MD5"):
        Expected(md5="0123abcd")
