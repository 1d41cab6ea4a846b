"""`mimctl install` from an index that lies: each lie is refused with its code, and nothing is installed."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import lying_server as lies
from hostile.conftest import NAME, Liar, Refused
from hostile.lying_server import lying, plain, redirect
from tiny_wheels import write_wheel

from mimctl import api
from mimctl.errors import MimctlError
from mimctl.settings import Settings
from mimctl.transfer import address as addresses

INFO = "tool-1.0.dist-info"
IMPATIENT = {"http_timeout_s": 0.6}
"""For servers that would be waited for; a busy machine gets the time it needs with all others."""


def as_patient_as_needed(answer: lies.Answer) -> dict[str, float]:
    """Return the settings with which an answer is given up soon, if only its slowness ends it."""
    return IMPATIENT if answer in (lies.drips, lies.drips_headers, lies.endless_interim) else {}


def test_the_honest_index_would_install(liar: Liar, settings: Callable[..., Settings], target: Path) -> None:
    """The other tests prove nothing unless this one passes."""
    liar.publish()
    result = api.install(("tool",), settings=settings(liar.address))
    assert [change.name for change in result.changes] == ["tool"]
    assert list(target.glob("lib/python*/site-packages/tool/evil.py"))


# What the wheel's address answers.


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (plain(404), "http-status"),
        (plain(410), "http-status"),
        (plain(401), "http-status"),
        (plain(403), "http-status"),
        (plain(500), "network"),
        (plain(503, Retry_After="0"), "network"),
        (plain(503, Retry_After="9999999"), "network"),
        (plain(200, b"", Content_Length="100000000000000000000000"), "network"),
        (lies.says_length(5 * 10**12, b"x"), "length-mismatch"),
        (lies.hangs_up, "network"),
        (lies.drips, "length-mismatch"),
        (lies.drips_headers, "network"),
        (lies.endless_headers, "network"),
        (lies.endless_header, "network"),
        (lies.endless_interim, "network"),
        (lies.endless_body, "length-mismatch"),
        (lies.endless_chunks, "length-mismatch"),
        (lies.speaks_otherwise, "network"),
        (redirect("/again"), "bad-redirect"),
        (redirect("file:///etc/passwd"), "bad-redirect"),
        (redirect("ftp://127.0.0.1/x.whl"), "bad-redirect"),
        (redirect("http://169.254.169.254/latest/meta-data"), "unsafe-address"),
        (redirect("http://[::ffff:a9fe:a9fe]/"), "unsafe-address"),
        (redirect("http://metadata.google.internal/"), "unsafe-address"),
        (redirect("http://[not an address/"), "network"),
        (plain(200, b"<!doctype html><title>Sign in</title>"), "length-mismatch"),
        (plain(200, b"<!doctype html><title>Sign in</title>", Transfer_Encoding="chunked"), "length-mismatch"),
    ],
)
def test_the_address_of_the_wheel_misbehaves(liar: Liar, refused: Refused, answer: lies.Answer, code: str) -> None:
    liar.server.routes.update({liar.wheel_path: answer, "/again": redirect(liar.wheel_path)})
    assert refused(**as_patient_as_needed(answer)).code == code


def test_a_byte_a_second_is_given_up(liar: Liar, refused: Refused) -> None:
    liar.entry["size"] = 1_000_000
    liar.server.routes[liar.wheel_path] = lies.drips
    error = refused(**IMPATIENT)
    assert error.code == "network"
    assert "too slow" in error.causes[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body[:-1] + bytes([body[-1] ^ 1]), "hash-mismatch"),
        (lambda body: body[:-10], "length-mismatch"),
        (lambda body: body + b"x", "length-mismatch"),
        (lambda body: b"", "length-mismatch"),
        (lambda body: b"x" * len(body), "hash-mismatch"),
    ],
)
def test_the_wheel_is_another_than_the_index_says(
    liar: Liar, refused: Refused, change: Callable[[bytes], bytes], code: str
) -> None:
    liar.serve_wheel(change(liar.wheel), is_told=False)
    error = refused()
    assert error.code == code
    if code == "hash-mismatch":
        assert liar.entry["sha256"] in "".join(error.causes)


def test_a_wheel_that_always_ends_early_is_given_up(liar: Liar, refused: Refused) -> None:
    cut = plain(200, liar.wheel[:-10], Content_Length=str(len(liar.wheel)))
    liar.server.routes[liar.wheel_path] = cut
    assert refused().code == "network"


def test_the_same_version_with_another_hash_is_refused(liar: Liar, refused: Refused, tmp_path: Path) -> None:
    """What was seen once is what a version is, even when index and file agree on something new."""
    from mimctl.index.client import IndexClient
    from mimctl.installer.staging import _Published
    from mimctl.transfer import TransferSettings

    liar.publish()
    seen = IndexClient([liar.address], TransferSettings(), tmp_path / "cache").load().files[0]
    _Published(tmp_path / "cache").remember([seen])
    liar.server.routes.pop("/index.json")
    liar.serve_wheel(write_wheel(tmp_path / "new", NAME, extra={"tool/other.py": b""}).read_bytes())
    error = refused()
    assert error.code == "hash-changed"


def test_a_version_without_a_hash_is_what_came_first(
    liar: Liar,
    refused: Refused,
    settings: Callable[..., Settings],
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    liar.server.routes["/simple/tool/"] = links(f'<a href="../../files/{NAME}">{NAME}</a>')
    liar.document["files"] = []
    monkeypatch.setenv("PIP_INDEX_URL", f"{liar.address}/simple/")
    liar.publish()
    shutil.copytree(template, tmp_path / "first", symlinks=True)
    api.install(("tool",), settings=settings(liar.address, python=str(tmp_path / "first" / "bin" / "python")))
    other = write_wheel(tmp_path / "new", NAME, extra={"tool/other.py": b""})
    liar.serve_wheel(other.read_bytes(), is_told=False)
    assert refused().code == "hash-changed"


# What index.json says.


def too_deep() -> bytes:
    return b'{"schema_version": 1, "files": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (plain(200, b"<!doctype html><p>Sign in</p>", Content_Type="text/html"), "bad-index"),
        (plain(200, b"{"), "bad-index"),
        (plain(200, b""), "bad-index"),
        (plain(200, b"\xff\xfe\x00"), "bad-index"),
        (plain(200, b"[]"), "bad-index"),
        (plain(200, b"null"), "bad-index"),
        (plain(200, b'{"schema_version": 1}'), "bad-index"),
        (plain(200, b'{"schema_version": 1, "files": {}}'), "bad-index"),
        (plain(200, b'{"schema_version": 1, "files": [3]}'), "bad-index"),
        (plain(200, b'{"schema_version": true, "files": []}'), "bad-index"),
        (plain(200, b'{"schema_version": "1", "files": []}'), "bad-index"),
        (plain(200, b'{"schema_version": 99, "files": []}'), "index-version"),
        (plain(200, b'{"schema_version": 1, "files": ' + b"9" * 10_000 + b"}"), "bad-index"),
        (plain(200, too_deep()), "bad-index"),
        (plain(200, gzip.compress(bytes(300 << 20)), Content_Encoding="gzip"), "too-large"),
        (plain(500), "network"),
        (plain(401), "http-status"),
        (lies.endless_body, "too-large"),
        (lies.endless_chunks, "too-large"),
        (lies.endless_headers, "network"),
        (lies.endless_header, "network"),
        (lies.hangs_up, "network"),
        (lies.drips, "network"),
        (lies.drips_headers, "network"),
        (redirect("/index.json"), "bad-redirect"),
        (redirect("file:///etc/passwd"), "bad-redirect"),
        (redirect("http://169.254.169.254/"), "unsafe-address"),
    ],
)
def test_index_json_is_no_index(liar: Liar, refused: Refused, answer: lies.Answer, code: str) -> None:
    liar.server.routes["/index.json"] = answer
    assert refused(**as_patient_as_needed(answer)).code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"url": "../../etc/x.whl"}, "bad-index"),
        ({"url": "%2e%2e/%2e%2e/x.whl"}, "bad-index"),
        ({"url": "files/..%2f..%2fx.whl"}, "bad-index"),
        ({"url": "/etc/x.whl"}, "bad-index"),
        ({"url": "file:///etc/passwd"}, "bad-index"),
        ({"url": "FILE:///etc/passwd"}, "bad-index"),
        ({"url": "ftp://127.0.0.1/x.whl"}, "bad-index"),
        ({"url": "http://169.254.169.254/x.whl"}, "unsafe-address"),
        ({"url": "http://0xa9fea9fe/x.whl"}, "unsafe-address"),
        ({"url": 3}, "bad-index"),
        ({"filename": "../../../tool-1.0-py3-none-any.whl"}, "bad-index"),
        ({"filename": "..\\tool-1.0-py3-none-any.whl"}, "bad-index"),
        ({"filename": "%2e%2e%2ftool-1.0-py3-none-any.whl"}, "bad-index"),
        ({"filename": "tool-1.0-py3-none-any.tar.gz"}, "bad-index"),
        ({"filename": "\x1b[2Jtool-1.0-py3-none-any.whl"}, "bad-index"),
        ({"filename": "tool-1.0-py3-none-any.whl\n"}, "bad-index"),
        ({"sha256": ""}, "bad-index"),
        ({"sha256": None}, "bad-index"),
        ({"sha256": "d41d8cd98f00b204e9800998ecf8427e"}, "bad-index"),
        ({"sha256": "z" * 64}, "bad-index"),
        ({"size": -1}, "bad-index"),
        ({"size": True}, "bad-index"),
        ({"size": "5"}, "bad-index"),
        ({"size": 10**30}, "length-mismatch"),
        ({"version": "2.0"}, "bad-index"),
        ({"version": "latest\x1b[31m"}, "bad-index"),
        ({"tags": "py3-none-any"}, "bad-index"),
        ({"requires_dist": ["not a requirement ###"]}, "conflicting-requirements"),
        ({"requires_dist": ["other>=1"]}, "network"),
        ({"filename": "other-1.0-py3-none-any.whl"}, "bad-index"),
        ({"yanked": "use 0.9"}, "no-compatible-wheel"),
        ({"requires_python": ">=4"}, "no-compatible-wheel"),
    ],
)
def test_an_entry_of_index_json_lies(liar: Liar, refused: Refused, changes: dict[str, object], code: str) -> None:
    path = liar.wheel_path
    liar.entry.update(changes)
    liar.server.routes["*"] = liar.server.routes[path]
    assert refused().code == code


def test_requirements_that_the_index_hides_are_found_in_the_wheel(liar: Liar, refused: Refused, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "new", NAME, metadata="Requires-Dist: torch<2\n")
    liar.serve_wheel(wheel.read_bytes())
    assert refused().code == "bad-wheel"


# What the wheel is.


def packed(members: dict[str, bytes | zipfile.ZipInfo], *, record: bool = True) -> bytes:
    """Return a wheel of these members beside the usual ones."""
    whole: dict[str, bytes] = {
        "tool/__init__.py": b"",
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\nRequires-Python: >=3.11\n\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    whole.update({name: data for name, data in members.items() if isinstance(data, bytes)})
    if record:
        whole[f"{INFO}/RECORD"] = "".join(f"{name},,\n" for name in [*whole, f"{INFO}/RECORD"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in whole.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
        for name, link in members.items():
            if isinstance(link, zipfile.ZipInfo):
                link.filename = name
                archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def a_link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"../../../../evil.py": b"1"}, "unsafe-wheel"),
        ({"/tmp/evil.py": b"1"}, "unsafe-wheel"),
        ({"tool\\..\\..\\evil.py": b"1"}, "unsafe-wheel"),
        ({"tool/\x1b]0;evil\x07.py": b"1"}, "unsafe-wheel"),
        ({"tool/link": a_link()}, "unsafe-wheel"),
        ({"tool/__init__.py": zipfile.ZipInfo("x")}, "bad-wheel"),
        ({"other-1.0.dist-info/METADATA": b"Name: other\n"}, "bad-wheel"),
        ({f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n\n"}, "bad-wheel"),
        ({f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: tool\nVersion: 9.9\n\n"}, "bad-wheel"),
        ({"tool/zeros.bin": bytes(150 << 20)}, "zip-bomb"),
        ({"torch/__init__.py": b"import os"}, "foreign-files"),
        ({"tool-1.0.data/purelib/torch/version.py": b""}, "foreign-files"),
        ({"tool-1.0.data/scripts/python": b"#!/bin/sh\n"}, "unsafe-wheel"),
        ({"tool-1.0.data/data/lib/python3.11/site-packages/torch/x.py": b""}, "unsafe-wheel"),
    ],
)
def test_the_wheel_does_harm(
    liar: Liar, refused: Refused, members: dict[str, bytes | zipfile.ZipInfo], code: str
) -> None:
    liar.serve_wheel(packed(members))
    assert refused().code == code


@pytest.mark.parametrize("body", [b"<!doctype html><p>Sign in</p>", b"x" * 5000, b"", packed({}, record=False)])
def test_the_wheel_is_none(liar: Liar, refused: Refused, body: bytes) -> None:
    liar.serve_wheel(body)
    assert refused().code in ("bad-wheel", "html-instead-of-file")


# Who may be named by whom.


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 127.0.0.1 count as a public address, and 127.0.0.2 as one of a private network."""
    real = addresses.zone_of
    zones = {"127.0.0.1": addresses.Zone.PUBLIC, "127.0.0.2": addresses.Zone.PRIVATE}
    monkeypatch.setattr(addresses, "zone_of", lambda text: zones[text] if text in zones else real(text))


@pytest.mark.parametrize("is_redirect", [True, False])
def test_a_public_index_leads_into_no_private_network(
    liar: Liar, refused: Refused, outside: None, is_redirect: bool
) -> None:
    with lying("127.0.0.2") as inner:
        inner.routes["/x.whl"] = plain(200, liar.wheel)
        if is_redirect:
            liar.server.routes[liar.wheel_path] = redirect(f"{inner.address}/x.whl")
        else:
            liar.entry["url"] = f"{inner.address}/x.whl"
        assert refused().code == "unsafe-address"
        assert inner.asked == [], "not even asked"


def test_a_public_index_leads_not_to_this_machine(liar: Liar, refused: Refused, outside: None) -> None:
    liar.server.routes[liar.wheel_path] = redirect(f"http://127.0.0.3:{liar.server.port}{liar.wheel_path}")
    assert refused().code == "unsafe-address"


@pytest.mark.parametrize(
    ("target", "than", "is_refused"),
    [
        ("http://127.0.0.1/", "https://8.8.8.8/", True),
        ("http://10.0.0.1/", "https://8.8.8.8/", True),
        ("http://[fd00::1]/", "https://8.8.8.8/", True),
        ("http://[::ffff:10.0.0.1]/", "https://8.8.8.8/", True),
        ("http://[64:ff9b::a00:1]/", "https://8.8.8.8/", True),
        ("http://0.0.0.0/", "https://8.8.8.8/", True),
        ("http://127.0.0.1/", "http://10.0.0.1/", True),
        ("http://2130706433/", "https://8.8.8.8/", True),
        ("http://169.254.1.1/", "http://127.0.0.1/", True),
        ("http://100.100.100.200/", "", True),
        ("http://10.0.0.2/", "http://10.0.0.1/", False),
        ("http://8.8.4.4/", "http://10.0.0.1/", False),
        ("http://127.0.0.1/", "", False),
        ("http://127.0.0.1/", "http://127.0.0.2/", False),
    ],
)
def test_who_may_name_whom(target: str, than: str, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(MimctlError) as caught:
            addresses.check_not_nearer(target, than=than)
        assert caught.value.code == "unsafe-address"
    else:
        addresses.check_not_nearer(target, than=than)


# Several indexes.


def test_a_public_index_cannot_outbid_a_private_one(
    liar: Liar, settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dependency confusion: a higher version of a private name elsewhere is not even looked at."""
    wheel = write_wheel(tmp_path / "evil", "tool-99.0-py3-none-any.whl").read_bytes()
    with lying() as public:
        public.routes["/simple/tool/"] = page(public.address, {"tool-99.0-py3-none-any.whl": wheel})
        public.routes["/evil/tool-99.0-py3-none-any.whl"] = plain(200, wheel)
        monkeypatch.setenv("PIP_INDEX_URL", f"{public.address}/simple/")
        liar.publish()
        plan = api.prepare_install(("tool",), settings=settings(liar.address))
        assert [(change.name, change.version) for change in plan.changes] == [("tool", "1.0")]
        assert [path for path in public.asked if "tool" in path] == []


@pytest.mark.parametrize("answer", [plain(503), lies.hangs_up, plain(401)])
def test_a_private_index_that_is_down_is_not_replaced_by_a_public_one(
    liar: Liar, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: lies.Answer
) -> None:
    wheel = write_wheel(tmp_path / "evil", "tool-99.0-py3-none-any.whl").read_bytes()
    with lying() as public:
        public.routes["/simple/tool/"] = page(public.address, {"tool-99.0-py3-none-any.whl": wheel})
        monkeypatch.setenv("PIP_INDEX_URL", f"{public.address}/simple/")
        liar.server.routes["/index.json"] = answer
        assert refused().code in ("network", "http-status")
        assert public.asked == []


@pytest.mark.parametrize("answer", [plain(503), lies.hangs_up, plain(200, b"\x00\x01")])
def test_an_extra_index_of_pip_that_is_down_is_not_passed_over(
    liar: Liar, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: lies.Answer
) -> None:
    wheel = write_wheel(tmp_path / "evil", "lib-99.0-py3-none-any.whl").read_bytes()
    liar.entry["requires_dist"] = ["lib"]
    with lying() as public, lying() as private:
        private.routes["/simple/lib/"] = answer
        public.routes["/simple/lib/"] = page(public.address, {"lib-99.0-py3-none-any.whl": wheel})
        monkeypatch.setenv("PIP_INDEX_URL", f"{public.address}/simple/")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{private.address}/simple/")
        assert refused().code in ("network", "not-in-index")
        assert not [path for path in public.asked if path.endswith(".whl")]


def page(address: str, wheels: dict[str, bytes]) -> lies.Answer:
    """Return a page of links (PEP 503)."""
    import hashlib

    links = "".join(
        f'<a href="{address}/evil/{name}#sha256={hashlib.sha256(body).hexdigest()}">{name}</a>'
        for name, body in wheels.items()
    )
    return plain(200, f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), Content_Type="text/html")


@pytest.mark.parametrize(
    ("name", "code"),
    [("t\u043e\u043el", "usage"), ("tool\u200b", "usage"), ("tool\x1b[31m", "usage")],
    ids=["Cyrillic o", "zero width", "escape"],
)
def test_names_that_only_look_like_another_are_refused(liar: Liar, refused: Refused, name: str, code: str) -> None:
    assert refused(name).code == code
    assert [path for path in liar.server.asked if "ool" in path.removesuffix("toolboxes.json")] == []


def test_an_entry_of_another_project_of_the_same_look_is_not_taken(liar: Liar, refused: Refused) -> None:
    liar.entry["project"] = "t\u043e\u043el"
    assert refused().code == "network", "pip's index is asked, which is down"


# Pages (PEP 503, 691) of pip's own index.


@pytest.fixture
def simple(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> Callable[[lies.Answer], None]:
    """Return what makes `tool` a project of pip's index with this page."""

    def serve(answer: lies.Answer) -> None:
        liar.server.routes["/simple/tool/"] = answer
        liar.document["files"] = []
        monkeypatch.setenv("PIP_INDEX_URL", f"{liar.address}/simple/")

    return serve


def links(*anchors: str) -> lies.Answer:
    return plain(200, f"<!DOCTYPE html><html><body>{''.join(anchors)}</body></html>".encode(), Content_Type="text/html")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (links(f'<a href="file:///etc/{NAME}">{NAME}</a>'), ("bad-index", "not-in-index", "unsafe-address")),
        (links(f'<a href="http://169.254.169.254/{NAME}">{NAME}</a>'), ("unsafe-address",)),
        (links(f'<a href="../../files/{NAME}#sha256={"0" * 64}">{NAME}</a>'), ("hash-mismatch",)),
        (links(f'<a href="../../files/{NAME}#sha256=abc">{NAME}</a>'), ("bad-index",)),
        (links(f'<a href="../../files/other/{NAME}">{NAME}</a>'), ("http-status",)),
        (links('<a href="..%2f..%2fx.whl">..%2f..%2fx.whl</a>'), ("not-in-index", "bad-index")),
        (links('<a href="tool-1.0.tar.gz">tool-1.0.tar.gz</a>'), ("only-sdist",)),
        (plain(200, b"{}", Content_Type="application/vnd.pypi.simple.v1+json"), ("bad-index",)),
        (plain(200, b"[", Content_Type="application/vnd.pypi.simple.v1+json"), ("bad-index",)),
        (
            plain(
                200,
                json.dumps({"meta": {"api-version": "9.0"}, "name": "tool", "files": []}).encode(),
                Content_Type="application/vnd.pypi.simple.v1+json",
            ),
            ("bad-index", "index-version"),
        ),
        (plain(200, b"\x89PNG\r\n", Content_Type="image/png"), ("bad-index",)),
        (plain(500), ("network",)),
        (lies.endless_body, ("too-large",)),
        (redirect("file:///etc/passwd"), ("bad-redirect",)),
        (redirect("http://169.254.169.254/"), ("unsafe-address",)),
    ],
)
def test_a_page_lies(
    liar: Liar, refused: Refused, simple: Callable[[lies.Answer], None], answer: lies.Answer, code: tuple[str, ...]
) -> None:
    simple(answer)
    assert refused().code in code
