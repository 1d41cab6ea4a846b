"""TLS: who is trusted, and that nobody else is spared."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import NetworkError, render
from mimctl.transfer import TransferSettings, Way, download, get_bytes
from mimctl.transfer.http.connection import line

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one PEM file with a key and a certificate for 127.0.0.1 that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    (folder / "both.pem").write_bytes(key.read_bytes() + cert.read_bytes())
    return folder / "both.pem"


@pytest.fixture
def tls_server(server: Any, certificate: Path) -> Iterator[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    server.context = context
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    server.files["/x"] = b"x"
    return server


def address_of(server: Any) -> str:
    return str(server.address).replace("http:", "https:")


def test_a_certificate_that_nobody_signed_is_refused(tls_server: Any, quick: TransferSettings) -> None:
    with pytest.raises(NetworkError) as caught:
        get_bytes(address_of(tls_server) + "/x", settings=quick)
    assert "certificate" in render(caught.value)


def test_authorities_of_ones_own_are_trusted(tls_server: Any, quick: TransferSettings, certificate: Path) -> None:
    settings = replace(quick, way=Way(cert=certificate))
    assert get_bytes(address_of(tls_server) + "/x", settings=settings).body == b"x"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("with_port", [True, False])
def test_only_trusted_hosts_are_spared(tls_server: Any, quick: TransferSettings, with_port: bool) -> None:
    host = tls_server.address.removeprefix("http://")
    trusted = host if with_port else host.partition(":")[0]
    settings = replace(quick, way=Way(trusted_hosts=(trusted,)))
    assert get_bytes(address_of(tls_server) + "/x", settings=settings).body == b"x"
    with pytest.raises(NetworkError):
        get_bytes(address_of(tls_server).replace("127.0.0.1", "localhost") + "/x", settings=settings)


def test_another_port_of_a_trusted_host_is_not_spared(tls_server: Any, quick: TransferSettings) -> None:
    with pytest.raises(NetworkError):
        get_bytes(address_of(tls_server) + "/x", settings=replace(quick, way=Way(trusted_hosts=("127.0.0.1:443",))))


def test_a_certificate_of_ones_own_is_shown(tls_server: Any, quick: TransferSettings, certificate: Path) -> None:
    tls_server.context.verify_mode = ssl.CERT_REQUIRED
    settings = replace(quick, way=Way(cert=certificate))
    with pytest.raises(NetworkError):
        get_bytes(address_of(tls_server) + "/x", settings=settings)
    with_own = replace(settings, way=Way(cert=certificate, client_cert=certificate))
    assert get_bytes(address_of(tls_server) + "/x", settings=with_own).body == b"x"


def test_a_redirect_away_from_tls_is_refused(tls_server: Any, quick: TransferSettings, certificate: Path) -> None:
    tls_server.will_answer(302, Location="http://127.0.0.1:9/x")
    with pytest.raises(Exception, match="cannot fetch") as caught:
        get_bytes(address_of(tls_server) + "/x", settings=replace(quick, way=Way(cert=certificate)))
    assert caught.value.code == "bad-redirect"  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("proxy", "cause"),
    [
        ("http://me:can4ry@127.0.0.1:9", "the proxy does not answer"),
        ("http://me:can4ry@nohost.invalid:9", "the proxy does not answer"),
        ("http://me:can4ry@[bad", "the address of the proxy is none"),
        ("http://me:can4ry@127.0.0.1:port", "the address of the proxy is none"),
        ("nosuch://me:can4ry@127.0.0.1:9", "the address of the proxy is none"),
    ],
)
def test_a_proxy_that_is_none_is_named_and_its_password_is_not(
    quick: TransferSettings, scheme: str, proxy: str, cause: str
) -> None:
    with pytest.raises(NetworkError) as caught:
        get_bytes(f"{scheme}://127.0.0.1:8/x", settings=replace(quick, way=Way(proxy=proxy)))
    assert cause in caught.value.causes[0]
    assert "can4ry" not in "".join(traceback.format_exception(caught.value))


def test_the_proxy_of_the_settings_comes_first(
    server: Any, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.files["http://127.0.0.2:9/x"] = b"x"
    settings = replace(quick, way=Way(proxy=server.address))
    assert get_bytes("http://127.0.0.2:9/x", settings=settings).body == b"x"


def test_the_way_that_is_configured_is_read_once_something_is_fetched(server: Any, quick: TransferSettings) -> None:
    num_read = 0

    def configured() -> Way:
        nonlocal num_read
        num_read += 1
        return Way(proxy=server.address, trusted_hosts=("one",))

    server.files["http://127.0.0.2:9/x"] = b"x"
    settings = replace(quick, configured_way=configured)
    with line(settings) as opened:
        assert num_read == 0
        for _ in range(2):
            assert get_bytes("http://127.0.0.2:9/x", settings=settings, opened=opened).body == b"x"
    assert num_read == 1
    with pytest.raises(NetworkError):
        get_bytes("http://127.0.0.2:9/x", settings=replace(settings, way=Way(proxy="http://127.0.0.1:9"), retries=0))


def test_a_connection_that_breaks_within_tls_is_gone_on_with(
    tls_server: Any, quick: TransferSettings, certificate: Path, tmp_path: Path
) -> None:
    tls_server.files["/x"] = bytes(range(256)) * 1000
    tls_server.cuts = [100_000, 1, 50_000]
    settings = replace(quick, way=Way(cert=certificate))
    found = download(address_of(tls_server) + "/x", tmp_path / "x", settings=settings)
    assert found.read_bytes() == tls_server.files["/x"]
    assert ["range" in request for request in tls_server.requests] == [False, True, True, True]
