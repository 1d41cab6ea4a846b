"""`hf://` addresses: what they name, the hash that the Hub tells, and whom the token is shown to."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer

from mimctl.errors import IntegrityError, MimctlError, NetworkError, UsageError, render
from mimctl.transfer import TransferSettings, download, get_bytes
from mimctl.transfer.hub import find_place, token
from mimctl.transfer.hub_facts import look_up

BODY = bytes(range(256)) * 400
TOKEN = "hf_can4ryS3cret"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("hf://o/r/a.pth", "o/r/resolve/main/a.pth"),
        ("hf://o/r/deep er/a.pth", "o/r/resolve/main/deep%20er/a.pth"),
        ("hf://o/r/a.pth@v1.0", "o/r/resolve/v1.0/a.pth"),
        ("hf://o/r@v1.0/b/a.pth", "o/r/resolve/v1.0/b/a.pth"),
        ("hf://o/r/a.pth@refs/pr/7", "o/r/resolve/refs%2Fpr%2F7/a.pth"),
        ("hf://o/r@refs/pr/7/a.pth", "o/r/resolve/refs%2Fpr%2F7/a.pth"),
        ("hf://o/r/a%40b.pth@v1", "o/r/resolve/v1/a%40b.pth"),
        ("hf://datasets/o/r/train.zip", "datasets/o/r/resolve/main/train.zip"),
    ],
)
def test_an_address_names_a_file_of_a_revision(monkeypatch: pytest.MonkeyPatch, address: str, path: str) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert find_place(address).url == f"https://huggingface.co/{path}"


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://o", "hf://o/r", "hf://o/r/", "hf://o/r/../x", "hf://o/r/a@", "hf://o/r/%0a", "hf://../r/x", "hf://o/r//x"],
)  # fmt: skip
def test_what_names_no_file_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_place(address)
    assert caught.value.code == "bad-url"


def test_a_file_comes_with_the_hash_that_the_hub_tells(hub: HubServer, tmp_path: Path, quick: TransferSettings) -> None:
    sha256 = hub.put("o/r", "w.pth", BODY)
    found = look_up("hf://o/r/w.pth", settings=quick)
    assert (found.sha256, found.size) == (sha256, len(BODY))
    assert [each[:2] for each in hub.requests] == [("hub", "HEAD")]
    assert download("hf://o/r/w.pth", tmp_path / "w.pth", settings=quick).read_bytes() == BODY


def test_a_file_that_is_not_what_the_hub_tells_is_refused(
    hub: HubServer, tmp_path: Path, quick: TransferSettings
) -> None:
    hub.put("o/r", "w.pth", BODY)
    hub.told["o/r@main/w.pth"] = "0" * 64
    with pytest.raises(IntegrityError) as caught:
        download("hf://o/r/w.pth", tmp_path / "w.pth", settings=quick)
    assert caught.value.code == "hash-mismatch"
    assert not (tmp_path / "w.pth").exists()


def test_a_small_file_has_no_hash_and_what_another_server_says_is_none(
    hub: HubServer, tmp_path: Path, quick: TransferSettings
) -> None:
    hub.put("o/r", "config.json", b"{}", is_lfs=False)
    assert look_up("hf://o/r/config.json", settings=quick).sha256 is None
    assert download("hf://o/r/config.json", tmp_path / "c.json", settings=quick).read_bytes() == b"{}"


@pytest.mark.parametrize("place", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME"])
def test_the_token_goes_to_the_hub_alone(
    hub: HubServer, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place in ("HF_TOKEN_PATH", "HF_HOME"):
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
        monkeypatch.setenv(place, str(tmp_path / "hf" / ("token" if place == "HF_TOKEN_PATH" else "")))
    else:
        monkeypatch.setenv(place, TOKEN)
    hub.put("o/r", "w.pth", BODY)
    hub.private["o/r"] = TOKEN
    assert download("hf://o/r/w.pth", tmp_path / "w.pth", settings=quick).read_bytes() == BODY
    shown = {server: {each[3] for each in hub.requests if each[0] == server} for server in ("hub", "cdn")}
    assert shown == {"hub": {f"Bearer {TOKEN}"}, "cdn": {None}}
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert token() is None


def test_a_token_that_is_none_is_not_sent(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "two\r\nX-Header: lines")
    assert token() is None


@pytest.mark.parametrize("endpoint", ["http://[bad", "nowhere", "http://127.0.0.1:port"])
def test_an_endpoint_that_is_none_stands_in_nobodys_way(
    server: Any, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    server.files["/x"] = b"x"
    assert get_bytes(f"{server.address}/x", settings=quick).body == b"x"
    with pytest.raises(UsageError):
        look_up("hf://o/r/x", settings=quick)


def test_a_refusal_says_what_helps_and_not_the_token(
    hub: HubServer, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.put("o/r", "w.pth", BODY)
    hub.private["o/r"] = "another"
    with pytest.raises(MimctlError) as caught:
        download("hf://o/r/w.pth", tmp_path / "w.pth", settings=quick)
    shown = render(caught.value) + "".join(traceback.format_exception(caught.value))
    assert (caught.value.code, "hf auth login" in shown, TOKEN in shown) == ("http-status", True, False)
    with pytest.raises(MimctlError) as caught:
        download("hf://o/none/w.pth@v9", tmp_path / "w.pth", settings=quick)
    assert "revision `v9`" in render(caught.value)
    assert list(tmp_path.glob("w.pth*")) == []


def test_offline_nobody_is_asked(hub: HubServer, tmp_path: Path, quick: TransferSettings) -> None:
    hub.put("o/r", "w.pth", BODY)
    with pytest.raises(NetworkError) as caught:
        download("hf://o/r/w.pth", tmp_path / "w.pth", settings=replace(quick, offline=True))
    assert (caught.value.code, hub.requests) == ("offline", [])
