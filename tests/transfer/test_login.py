"""Logins: where they come from, whom they are told, and that nobody else ever sees them."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import MimctlError, render
from mimctl.transfer import Logins, TransferSettings, download, get_bytes

SECRET = "can4ry-s3cret"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1 login me password {SECRET}\n", encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `keyring` command on the path that knows `me` at every address and notes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    asked = tmp_path / "asked"
    script = folder / "keyring"
    script.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"print({SECRET!r}, file=sys.stderr)\n"
        "words = sys.argv[1:]\n"
        "if words[0] == 'get' and words[2] != 'me' or any('simple' in word for word in words):\n    sys.exit(1)\n"
        f"print('me\\n' * ('creds' in words) + {SECRET!r})\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return asked


def basic(user: str = "me", password: str = SECRET) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def wants_login(server: Any) -> None:
    """Answer 401 to whoever does not say who he is."""

    def check(handler: Any) -> bool:
        server.faults.append(check)
        if handler.headers.get("Authorization") == basic():
            return False
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="x"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    server.faults = [check]


def test_a_login_holds_for_all_that_lies_on_the_server(server: Any, quick: TransferSettings) -> None:
    server.files.update({"/simple/x/": b"page", "/files/x.whl": b"wheel"})
    wants_login(server)
    address = server.address.replace("//", f"//me:{SECRET}@") + "/simple"
    settings = TransferSettings(timeout_s=30, retries=0, logins=Logins([address]))
    assert get_bytes(server.address + "/files/x.whl", settings=settings).body == b"wheel"
    with pytest.raises(MimctlError):
        get_bytes(server.address.replace("127.0.0.1", "localhost") + "/files/x.whl", settings=settings)
    assert [each.get("authorization") for each in server.requests] == [basic(), None]


def test_percent_signs_in_an_address_are_read(server: Any, quick: TransferSettings) -> None:
    server.files["/x"] = b"x"
    get_bytes(server.address.replace("//", "//m%40e:p%3As@") + "/x", settings=quick)
    assert server.requests[0]["authorization"] == basic("m@e", "p:s")


def test_the_login_of_an_address_comes_before_netrc(server: Any, quick: TransferSettings, netrc: Path) -> None:
    server.files["/x"] = b"x"
    get_bytes(server.address.replace("//", "//you:pw@") + "/x", settings=quick)
    get_bytes(server.address + "/x", settings=quick)
    assert [each["authorization"] for each in server.requests] == [basic("you", "pw"), basic()]


def test_netrc_is_not_told_to_a_name_that_only_looks_alike(server: Any, quick: TransferSettings, netrc: Path) -> None:
    """`http://127.0.0.1:@other/` is an address of `other` (CVE-2024-47081)."""
    server.files["/x"] = b"x"
    port = server.address.rpartition(":")[2]
    get_bytes(f"http://127.0.0.1:@localhost:{port}/x", settings=quick)
    assert "authorization" not in server.requests[0]


@pytest.mark.parametrize("entry", ["machine localhost", "default"])
def test_netrc_is_not_told_over_a_redirect_to_plain_http(
    server: Any, quick: TransferSettings, netrc: Path, entry: str
) -> None:
    netrc.write_text(f"{entry} login me password {SECRET}\n")
    server.files["/x"] = b"x"
    server.will_answer(302, Location=server.address.replace("127.0.0.1", "localhost") + "/x")
    get_bytes(server.address + "/start", settings=quick)
    assert "authorization" not in server.requests[1]


def test_a_redirect_tells_no_other_port_of_the_host(server: Any, other_server: Any, quick: TransferSettings) -> None:
    other_server.files["/x"] = b"x"
    server.will_answer(302, Location=other_server.address.replace("//", "//evil:evil@") + "/x")
    get_bytes(server.address.replace("//", f"//me:{SECRET}@") + "/start", settings=quick)
    assert "authorization" not in other_server.requests[0]


def test_a_broken_netrc_is_as_good_as_none(server: Any, quick: TransferSettings, netrc: Path) -> None:
    netrc.write_text(f"machine {SECRET} {SECRET} {SECRET}\n")
    server.files["/x"] = b"x"
    assert get_bytes(server.address + "/x", settings=quick).body == b"x"


def test_the_keyring_is_asked_after_a_refusal_alone(server: Any, quick: TransferSettings, keyring: Path) -> None:
    server.files["/x"] = b"x"
    get_bytes(server.address + "/x", settings=quick)
    assert not keyring.exists()
    wants_login(server)
    for _ in range(2):
        assert get_bytes(server.address + "/x", settings=quick).body == b"x"
    host = server.address.removeprefix("http://")
    assert keyring.read_text().splitlines() == [f"--mode creds get {host}"], "asked once for both"
    assert [each.get("authorization") for each in server.requests] == [None, None, basic(), basic()]


def test_the_keyring_is_asked_for_the_user_of_the_address(server: Any, keyring: Path) -> None:
    server.files["/simple/x"] = b"x"
    wants_login(server)
    address = server.address.replace("//", "//me@") + "/simple"
    settings = TransferSettings(timeout_s=30, retries=0, logins=Logins([address]))
    assert get_bytes(address + "/x", settings=settings).body == b"x"
    host = server.address.removeprefix("http://")
    assert keyring.read_text().splitlines() == [f"get {server.address}/simple me", f"get {host} me"]


def test_the_keyring_is_not_asked_for_where_a_redirect_leads(
    server: Any, other_server: Any, quick: TransferSettings, keyring: Path
) -> None:
    server.will_answer(302, Location=other_server.address + "/x")
    wants_login(other_server)
    with pytest.raises(MimctlError) as caught:
        get_bytes(server.address + "/start", settings=quick)
    assert caught.value.details["status"] == 401
    assert not keyring.exists()


def test_a_keyring_that_is_not_wanted_is_not_run(server: Any, keyring: Path) -> None:
    wants_login(server)
    with pytest.raises(MimctlError):
        get_bytes(server.address + "/x", settings=TransferSettings(logins=Logins(uses_keyring=False)))
    assert not keyring.exists()


def test_a_login_that_is_refused_is_an_error_and_asked_for_once(
    server: Any, quick: TransferSettings, keyring: Path
) -> None:
    for _ in range(4):
        server.will_answer(401)
    with pytest.raises(MimctlError) as caught:
        get_bytes(server.address + "/x", settings=quick)
    assert (caught.value.details["status"], len(server.requests)) == (401, 2)
    assert SECRET not in render(caught.value)


@pytest.mark.parametrize("origin", ["address", "netrc", "keyring"])
@pytest.mark.parametrize("ending", ["served", "401", "403", "500", "cut", "redirect", "nobody", "wrong hash"])
def test_no_secret_leaves(
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
    origin: str,
    ending: str,
) -> None:
    address = server.address if ending != "nobody" else "http://127.0.0.1:9"
    if origin == "address":
        address = address.replace("//", f"//me:{SECRET}@")
    else:
        request.getfixturevalue(origin)
    wants_login(server)
    real = server.faults[0]

    def then(handler: Any) -> bool:
        if real(handler):
            return True
        server.faults.insert(0, then)
        return {"500": _status(500), "403": _status(403), "401": _status(401), "cut": _hang_up}.get(
            ending, _redirect if ending == "redirect" else lambda _handler: False
        )(handler)

    server.faults = [real, then] if origin == "keyring" else [then]
    server.files["/x.whl"] = b"x" * 1000
    caplog.set_level(logging.DEBUG)
    settings = TransferSettings(timeout_s=30, retries=1, backoff_s=0.01)
    notes: list[str] = []
    told = ""
    sha256 = "0" * 64 if ending == "wrong hash" else None
    try:
        download(address + "/x.whl", tmp_path / "cache" / "x.whl", sha256=sha256, settings=settings, note=notes.append)
        assert ending == "served"
    except MimctlError as problem:
        assert ending != "served"
        told = render(problem) + json.dumps(problem.to_dict()) + "".join(traceback.format_exception(problem))
    out, err = capfd.readouterr()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    names = " ".join(map(str, (tmp_path / "cache").rglob("*")))
    shown = " ".join([told, out, err, caplog.text, names, kept.decode("latin-1"), *notes, repr(settings)])
    for secret in (SECRET, base64.b64encode(f"me:{SECRET}".encode()).decode()):
        assert secret not in shown


def _status(status: int) -> Any:
    def act(handler: Any) -> bool:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    return act


def _hang_up(handler: Any) -> bool:
    handler.close_connection = True
    return True


def _redirect(handler: Any) -> bool:
    handler.send_response(302)
    handler.send_header("Location", f"ftp://me:{SECRET}@127.0.0.1/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


def test_partial_files_are_nobodys_business(server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    server.files["/x.whl"] = b"x" * 100_000
    server.cuts = [50_000] * 9
    with pytest.raises(MimctlError):
        download(
            server.address.replace("//", f"//me:{SECRET}@") + "/x.whl?token=" + SECRET,
            tmp_path / "x.whl",
            settings=TransferSettings(timeout_s=30, retries=0),
        )
    left = [path for path in tmp_path.iterdir() if not path.name.endswith(".part")]
    assert len(left) == 1
    assert SECRET not in left[0].read_text()
    assert stat.S_ISREG(left[0].stat().st_mode)
