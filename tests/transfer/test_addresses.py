"""Where requests may lead: no spelling of a metadata address, and no name that changes its mind."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import MimctlError
from mimctl.transfer import TransferSettings, download
from mimctl.transfer.address import check_not_nearer, check_remote

METADATA = [
    "http://169.254.169.254/latest/",
    "HTTP://169.254.169.254:80/",
    "http://someone@169.254.169.254/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://169。254。169。254/",
    "http://①⑥⑨.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[febf::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fd00:0ec2:0:0:0:0:0:254]/",
    "http://[fd20:ce::254]/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://169.254.170.2/v2/credentials",
    "http://metadata/",
    "http://metadata.google.internal/",
    "http://METADATA.Google.Internal./",
    "http://instance-data/latest/",
    "http://metadata.tencentyun.com/",
    "http://metadata.azure.internal/",
]
ODD = [
    "http://169.254.169.254\\@host/",
    "http://host\\@169.254.169.254/",
    "http://1%36%39.254.169.254/",
    "http://169.254.169.254 /",
    "http://ho\tst/",
    "http:///169.254.169.254/",
    "http://",
    "http://host:99999/",
]


@pytest.mark.parametrize("url", METADATA)
@pytest.mark.parametrize("than", ["", "http://127.0.0.1/", "https://8.8.8.8/"])
def test_nobody_leads_to_a_metadata_address_in_any_spelling(url: str, than: str) -> None:
    with pytest.raises(MimctlError) as caught:
        check_not_nearer(url, than=than)
    assert caught.value.code == "unsafe-address"


@pytest.mark.parametrize("url", ODD)
def test_an_address_that_readers_see_differently_is_none(url: str) -> None:
    with pytest.raises(MimctlError) as caught:
        check_remote(url)
    assert caught.value.code == "bad-url"


@pytest.mark.parametrize(
    "url", ["https://host/a%20b", "http://[::1]:80/", "http://user:p%40ss@host/", "https://host/a b\\c"]
)
def test_plain_addresses_stay_usable(url: str) -> None:
    check_remote(url)


def resolve_in_turn(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let the name `rebound.example` lead to one address after the other, the last one for good."""
    real = socket.getaddrinfo
    answers = itertools.chain(addresses, itertools.repeat(addresses[-1]))

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return real(next(answers) if host == "rebound.example" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_that_leads_nearer_when_it_is_connected_to_is_refused(
    server: Any, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = str(server.address).rpartition(":")[2]
    resolve_in_turn(monkeypatch, "8.8.8.8", "127.0.0.1")
    monkeypatch.setattr("mimctl.transfer.address._addresses", _asked_once())
    url = f"http://rebound.example:{port}/w.pth"
    with pytest.raises(MimctlError) as caught:
        download(url, tmp_path / "w.pth", settings=quick, named_by="https://8.8.4.4/index")
    assert caught.value.code == "unsafe-address"
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


def _asked_once() -> Any:
    from functools import lru_cache

    from mimctl.transfer.address import _addresses

    return lru_cache(_addresses.__wrapped__)


def test_a_name_that_stays_where_it_was_is_connected_to(
    server: Any, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/w.pth"] = b"weights"
    port = str(server.address).rpartition(":")[2]
    resolve_in_turn(monkeypatch, "127.0.0.1")
    monkeypatch.setattr("mimctl.transfer.address._addresses", _asked_once())
    url = f"http://rebound.example:{port}/w.pth"
    assert download(url, tmp_path / "w.pth", settings=quick, named_by="").read_bytes() == b"weights"
