"""Transfers through a real proxy: for http and https, as the environment says, with its login and without."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from proxy_server import ProxyServer

from mimctl.errors import MimctlError, render
from mimctl.transfer import TransferSettings, Way, download, get_bytes

BODY = bytes(range(256)) * 1500
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "can4ry-pr0xy"


@pytest.fixture(params=["http", "https"])
def origin(
    request: pytest.FixtureRequest, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Any]:
    """Return the address of a server for `zoo.invalid`, a name that only the proxy knows, and the server."""
    server.files["/w.pth"] = BODY
    port = server.address.rpartition(":")[2]
    if request.param == "https":
        if shutil.which("openssl") is None:
            pytest.skip("makes its certificate with openssl")
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=zoo.invalid"]
        argv += ["-addext", "subjectAltName=DNS:zoo.invalid", "-keyout", str(key), "-out", str(cert)]
        subprocess.run(argv, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    return f"{request.param}://zoo.invalid:{port}/w.pth", server


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    with ProxyServer() as running:
        running.hosts["zoo.invalid"] = "127.0.0.1"
        yield running


def variable_of(address: str) -> str:
    return f"{address.partition(':')[0]}_proxy"


@pytest.mark.parametrize("is_upper", [True, False])
def test_the_environment_names_the_proxy(
    origin: tuple[str, Any],
    proxy: ProxyServer,
    tmp_path: Path,
    quick: TransferSettings,
    monkeypatch: pytest.MonkeyPatch,
    is_upper: bool,
) -> None:
    address, _ = origin
    name = variable_of(address)
    monkeypatch.setenv(name.upper() if is_upper else name, proxy.address)
    assert download(address, tmp_path / "w.pth", sha256=SHA256, settings=quick).read_bytes() == BODY
    host = address.partition("://")[2].partition("/")[0]
    assert set(proxy.asked) == {("CONNECT", host) if address.startswith("https") else ("GET", address)}


def test_all_proxy_serves_both(
    origin: tuple[str, Any],
    proxy: ProxyServer,
    tmp_path: Path,
    quick: TransferSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.address)
    assert download(origin[0], tmp_path / "w.pth", sha256=SHA256, settings=quick).read_bytes() == BODY
    assert proxy.asked


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "localhost,127.0.0.1", "*", "127.0.0.0/8"])
def test_no_proxy_names_who_is_asked_directly(
    server: Any,
    proxy: ProxyServer,
    tmp_path: Path,
    quick: TransferSettings,
    monkeypatch: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    server.files["/w.pth"] = BODY
    monkeypatch.setenv("http_proxy", proxy.address)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert download(f"{server.address}/w.pth", tmp_path / "w.pth", settings=quick).read_bytes() == BODY
    assert proxy.asked == []
    monkeypatch.setenv("no_proxy", "example.org")
    get_bytes(f"{server.address}/w.pth", settings=quick)
    assert proxy.asked == [("GET", f"{server.address}/w.pth")]


def test_the_login_of_the_proxy_is_told_to_nobody_else(
    origin: tuple[str, Any],
    proxy: ProxyServer,
    tmp_path: Path,
    quick: TransferSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, server = origin
    proxy.login = f"me:{SECRET}"
    monkeypatch.setenv(variable_of(address), proxy.address.replace("//", f"//me:{SECRET}@"))
    assert download(address, tmp_path / "w.pth", sha256=SHA256, settings=quick).read_bytes() == BODY
    heard = str(server.requests)
    assert "proxy-authorization" not in heard
    assert "authorization" not in heard
    monkeypatch.setenv(variable_of(address), proxy.address.replace("//", "//me:wr0ng-can4ry@"))
    with pytest.raises(MimctlError) as caught:
        get_bytes(address, settings=quick)
    shown = render(caught.value) + "".join(traceback.format_exception(caught.value))
    assert "wr0ng-can4ry" not in shown


@pytest.mark.parametrize("origin", ["https"], indirect=True)
def test_a_tunnel_that_breaks_off_is_gone_on_with(
    origin: tuple[str, Any],
    proxy: ProxyServer,
    tmp_path: Path,
    quick: TransferSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, server = origin
    proxy.cuts = [150_000, 150_000]
    monkeypatch.setenv("https_proxy", proxy.address)
    assert download(address, tmp_path / "w.pth", sha256=SHA256, settings=quick).read_bytes() == BODY
    assert any(each.get("range") for each in server.requests)


def test_what_a_document_names_goes_by_the_proxy_too(
    origin: tuple[str, Any], proxy: ProxyServer, tmp_path: Path, quick: TransferSettings
) -> None:
    settings = replace(quick, way=Way(proxy=proxy.address))
    found = download(origin[0], tmp_path / "w.pth", sha256=SHA256, settings=settings, named_by="https://index.invalid/")
    assert found.read_bytes() == BODY


@pytest.mark.parametrize("no_proxy", [(), ("zoo.invalid",), (".invalid", "example.org")])
def test_a_proxy_of_one_scheme_serves_that_scheme(
    origin: tuple[str, Any], proxy: ProxyServer, tmp_path: Path, quick: TransferSettings, no_proxy: tuple[str, ...]
) -> None:
    scheme = origin[0].partition(":")[0]
    way = Way(**{f"{scheme}_proxy": proxy.address}, no_proxy=no_proxy)
    settings = replace(quick, way=way, retries=0)
    if no_proxy:
        with pytest.raises(MimctlError):
            download(origin[0], tmp_path / "w.pth", sha256=SHA256, settings=settings)
        assert proxy.asked == []
        return
    assert download(origin[0], tmp_path / "w.pth", sha256=SHA256, settings=settings).read_bytes() == BODY
    other = Way(**{f"{'http' if scheme == 'https' else 'https'}_proxy": "http://127.0.0.1:9"}, proxy=proxy.address)
    assert get_bytes(origin[0], settings=replace(quick, way=other)).body == BODY
