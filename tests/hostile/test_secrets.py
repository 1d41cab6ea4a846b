"""No credential of an index ends up anywhere: not printed, not in a file, not with another server."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile.conftest import NAME, Liar
from hostile.lying_server import Answer, lying, plain, redirect
from toy_toolbox import ROOT

SECRET = "can4ry-s3cret"
MORE_ENDINGS = [pytest.param(each, marks=pytest.mark.slow) for each in ("401", "404", "cut", "redirect")]
TOKEN = base64.b64encode(f"me:{SECRET}".encode()).decode()


def install(tmp_path: Path, target: Path, *words: str, **variables: str) -> str:
    """Install as people do, and return all that anybody could read afterwards."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    env = {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "MIMCTL_PYTHON": str(target / "bin" / "python"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_DRIVER": "none",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple/",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "NETRC": "/dev/null",
        **variables,
    }
    argv = [sys.executable, "-m", "mimctl", "install", "--debug", "-v", *words]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    places = [tmp_path / "cache", target, tmp_path / "uv-cache", home]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    names = "\n".join(map(str, files))
    contents = "\n".join(path.read_bytes().decode("latin-1") for path in files)
    return f"rc {done.returncode}\n{done.stdout}\n{done.stderr}\n{names}\n{contents}"


def members_only(liar: Liar) -> None:
    """Let the server answer 401 to who does not log in."""
    for path, answer in list(liar.server.routes.items()):

        def check(connection: object, answer: Answer = answer) -> None:
            is_member = f"Authorization: Basic {TOKEN}" in liar.server.heads[-1]
            refusal = plain(401, WWW_Authenticate='Basic realm="x"')
            (answer if is_member else refusal)(connection)  # type: ignore[arg-type]

        liar.server.routes[path] = check


def with_login(liar: Liar) -> str:
    return liar.address.replace("//", f"//me:{SECRET}@")


@pytest.mark.parametrize("as_json", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("origin", ["address", "netrc", "keyring", "pip"])
@pytest.mark.parametrize("ending", ["installed", "wrong hash", *MORE_ENDINGS])
def test_no_secret_of_an_index_is_left_anywhere(
    liar: Liar, tmp_path: Path, target: Path, origin: str, ending: str, as_json: bool
) -> None:
    address, variables = liar.address, {}
    if origin == "address":
        address = with_login(liar)
    elif origin == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
        variables["NETRC"] = str(tmp_path / "netrc")
    elif origin == "keyring":
        variables["PATH"] = f"{keyring(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    else:
        page = f'<!DOCTYPE html><a href="../../files/{NAME}#sha256={liar.entry["sha256"]}">{NAME}</a>'.encode()
        liar.server.routes["/simple/tool/"] = plain(200, page, Content_Type="text/html")
        variables["PIP_INDEX_URL"] = f"{with_login(liar)}/simple/"
        liar.document["files"] = []
    liar.server.routes[liar.wheel_path] = {
        "401": plain(401, f"you are not {SECRET}".encode()),
        "404": plain(404),
        "wrong hash": plain(200, bytes(len(liar.wheel))),
        "cut": plain(200, liar.wheel[:100], Content_Length=str(len(liar.wheel))),
        "redirect": redirect(f"ftp://me:{SECRET}@127.0.0.1/x"),
    }.get(ending, liar.server.routes[liar.wheel_path])
    liar.publish()
    if origin != "pip":
        members_only(liar)
    words = ["tool", "--index", address, *(["--json"] if as_json else [])]
    left = install(tmp_path, target, *words, **variables)
    assert left.startswith("rc 0") is (ending == "installed"), left[:3000]
    assert SECRET not in left
    assert TOKEN not in left
    assert any(TOKEN in head for head in liar.server.heads), "it was never used"


@pytest.mark.parametrize("origin", ["address", "netrc", "keyring"])
def test_another_server_is_told_nothing(liar: Liar, tmp_path: Path, target: Path, origin: str) -> None:
    variables = {}
    if origin == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
        variables["NETRC"] = str(tmp_path / "netrc")
    if origin == "keyring":
        variables["PATH"] = f"{keyring(tmp_path)}{os.pathsep}{os.environ['PATH']}"
    with lying("127.0.0.2") as other:
        other.routes["/x.whl"] = plain(401)
        liar.server.routes[liar.wheel_path] = redirect(f"{other.address}/x.whl")
        liar.publish()
        members_only(liar)
        address = with_login(liar) if origin == "address" else liar.address
        left = install(tmp_path, target, "tool", "--index", address, **variables)
        assert "rc 1" in left
        assert len(other.heads) == 1
        assert "authorization" not in other.heads[0].lower()
        assert SECRET not in left


def keyring(tmp_path: Path) -> Path:
    """Return a folder with a `keyring` command that knows `me`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "keyring"
    script.write_text(f"#!/bin/sh\necho '{SECRET}' >&2\necho me\necho '{SECRET}'\n")
    script.chmod(0o755)
    return folder
