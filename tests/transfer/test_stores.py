"""`s3://` and `gs://`: objects through fsspec's own clients, against a store on the loopback."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_server import StoreServer, cut

from mimctl.errors import IntegrityError, MimctlError, NetworkError, render
from mimctl.transfer import TransferSettings, download
from mimctl.transfer import stores as stores_module

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "can4ryS3cret"


@pytest.fixture(params=["s3", "gs"])
def scheme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read at import; it speaks gRPC besides
    package = {"s3": "s3fs", "gs": "gcsfs"}[request.param]
    pytest.importorskip(package, reason=f"`{request.param}://` is read with {package}")
    return str(request.param)


@pytest.fixture
def store(scheme: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreServer]:
    from fsspec import config

    with StoreServer() as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.address,
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "STORAGE_EMULATOR_HOST": server.address,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(config.conf, "gs", {"token": "anon"})  # as FSSPEC_GS_TOKEN, which is read at import
        yield server


def test_an_object_comes_in_pieces(
    scheme: str, store: StoreServer, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_module, "_PIECE", 100_000)
    store.objects["bucket/models/w.pth"] = BODY
    told: list[tuple[int, int | None]] = []
    dest = download(
        f"{scheme}://bucket/models/w.pth",
        tmp_path / "w.pth",
        sha256=SHA256,
        settings=quick,
        progress=lambda done, total: told.append((done, total)),
    )
    assert dest.read_bytes() == BODY
    assert store.ranges == ["bytes=0-99999", "bytes=100000-199999", "bytes=200000-255999"]
    assert told == [(done, len(BODY)) for done in (0, 100_000, 200_000, 256_000)]
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_a_broken_transfer_goes_on(
    scheme: str, store: StoreServer, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_module, "_PIECE", 100_000)
    store.objects["b/w.pth"] = BODY
    (tmp_path / "w.pth.part").write_bytes(b"of another file")
    url = f"{scheme}://b/w.pth"
    store.closed.add("b")
    with pytest.raises(MimctlError):
        download(url, tmp_path / "w.pth", settings=quick)
    store.closed.clear()

    def stop(done: int, total: int | None) -> None:
        if done == 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, tmp_path / "w.pth", settings=quick, progress=stop)
    store.ranges.clear()
    assert download(url, tmp_path / "w.pth", settings=quick).read_bytes() == BODY
    assert store.ranges == ["bytes=200000-255999"]


def test_an_object_that_changed_is_begun_anew(
    scheme: str, store: StoreServer, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores_module, "_PIECE", 100_000)
    store.objects["b/w.pth"] = BODY

    def change(done: int, total: int | None) -> None:
        if done == 100_000:
            store.objects["b/w.pth"] = BODY[::-1]

    found = download(f"{scheme}://b/w.pth", tmp_path / "w.pth", settings=quick, progress=change)
    assert found.read_bytes() == BODY[::-1]


def test_a_connection_that_breaks_off_is_tried_again(
    scheme: str, store: StoreServer, tmp_path: Path, quick: TransferSettings
) -> None:
    store.objects["b/w.pth"] = BODY
    store.faults = [cut]
    assert download(f"{scheme}://b/w.pth", tmp_path / "w.pth", settings=quick).read_bytes() == BODY


def test_what_is_not_there_or_not_given_or_not_right_is_named(
    scheme: str, store: StoreServer, tmp_path: Path, quick: TransferSettings
) -> None:
    store.objects["b/w.pth"] = BODY
    store.closed.add("closed")
    for url, values, code in (
        (f"{scheme}://b/absent.pth", {}, "missing-file"),
        (f"{scheme}://closed/w.pth", {}, "store-refused"),
        (f"{scheme}://b/w.pth", {"sha256": "0" * 64}, "hash-mismatch"),
        (f"{scheme}://b/w.pth", {"size": 3}, "length-mismatch"),
    ):
        with pytest.raises(MimctlError) as caught:
            download(url, tmp_path / "w.pth", settings=quick, **values)
        assert caught.value.code == code
        assert isinstance(caught.value, IntegrityError) == code.endswith("mismatch")
        assert url in render(caught.value)
        assert SECRET not in render(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, module, None)
    for url, extra in (("s3://b/w.pth", "mimctl[s3]"), ("gs://b/w.pth", "mimctl[gcs]")):
        with pytest.raises(MimctlError) as caught:
            download(url, tmp_path / "w.pth", settings=quick)
        assert caught.value.code == "missing-extra"
        assert f"pip install '{extra}'" in render(caught.value)


def test_offline_no_store_is_asked(tmp_path: Path, quick: TransferSettings) -> None:
    with pytest.raises(NetworkError) as caught:
        download("s3://b/w.pth", tmp_path / "w.pth", settings=replace(quick, offline=True))
    assert caught.value.code == "offline"
