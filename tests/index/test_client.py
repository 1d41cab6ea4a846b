"""Indexes are read from folders and over HTTP, several in order, cached, and never believed blindly."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading

import pytest

from mimctl.errors import IntegrityError, MimctlError, NetworkError, UsageError
from mimctl.index.client import IndexClient
from mimctl.transfer import TransferSettings

SHA = hashlib.sha256(b"wheel").hexdigest()


def entry(**changes):
    base = {
        "project": "mimctl-det",
        "filename": "mimctl_det-0.1.0-py3-none-any.whl",
        "url": "files/mimctl_det-0.1.0-py3-none-any.whl",
        "sha256": SHA,
        "size": 5,
        "version": "0.1.0",
        "tags": ["py3-none-any"],
        "requires_python": ">=3.11",
        "requires_dist": [],
        "yanked": None,
        "build": None,
    }
    return {**base, **changes}


def write(folder, *, index=None, files=(), toolboxes=None):
    folder.mkdir(parents=True, exist_ok=True)
    data = {"schema_version": 1, "generator": "test", "files": list(files), "torch": {"verified": "2.13.0"}}
    (folder / "index.json").write_text(index if index is not None else json.dumps(data))
    boxes = {"schema_version": 1, "toolboxes": toolboxes or {}}
    (folder / "toolboxes.json").write_text(json.dumps(boxes))
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files/mimctl_det-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    return folder


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with ETags; counts whole answers."""

    def do_GET(self):
        try:
            with open(self.translate_path(self.path), "rb") as stream:  # noqa: PTH123
                body = stream.read()
        except OSError:
            self.send_error(404)
            return
        tag = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
        fresh = self.headers.get("If-None-Match") == tag
        self.server.sent.append((304 if fresh else 200, self.path))
        self.send_response(304 if fresh else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", "0" if fresh else str(len(body)))
        self.end_headers()
        if not fresh:
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    root = tmp_path / "www"
    root.mkdir()
    handler = functools.partial(_Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.sent = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{server.server_address[1]}", server
        server.shutdown()


def client(tmp_path, *addresses, **settings):
    return IndexClient(addresses, TransferSettings(retries=0, **settings), tmp_path / "cache")


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "{}/index.json"])
def test_a_folder_is_an_index_however_it_is_written(tmp_path, form):
    site = write(tmp_path / "my site", files=[entry()])
    reader = client(tmp_path, form.format(site))
    index = reader.load()
    assert (index.torch_verified, index.torch_default) == ("2.13.0", None)
    assert reader.fetch(index.files[0]).read_bytes() == b"wheel"


def test_a_relative_folder_is_an_index(tmp_path, monkeypatch):
    write(tmp_path / "site", files=[entry()])
    monkeypatch.chdir(tmp_path)
    assert client(tmp_path, "site").load().projects == {"mimctl-det"}


def test_an_unchanged_index_is_not_sent_again(tmp_path, served):
    root, url, server = served
    write(root, files=[entry()])
    client(tmp_path, url).load()
    assert {status for status, _ in server.sent} == {200}
    server.sent.clear()
    assert client(tmp_path, url).load().projects == {"mimctl-det"}
    assert {status for status, _ in server.sent} == {304}


def test_a_document_is_asked_for_once_by_one_client(tmp_path, served):
    root, url, server = served
    write(root, files=[entry()])
    reader = client(tmp_path, url)
    reader.load()
    reader.load()
    reader.toolboxes()
    assert len(server.sent) == 2


def test_offline_reads_the_cache_or_says_what_is_missing(tmp_path, served):
    root, url, _ = served
    write(root, files=[entry()])
    with pytest.raises(NetworkError) as caught:
        client(tmp_path, url, offline=True).load()
    assert (caught.value.code, caught.value.exit_code) == ("offline", 4)
    online = client(tmp_path, url)
    online.fetch(online.load().files[0])
    offline = client(tmp_path, url, offline=True)
    assert offline.fetch(offline.load().files[0]).read_bytes() == b"wheel"


def test_an_unreachable_index_is_a_network_error(tmp_path):
    with pytest.raises(NetworkError) as caught:
        client(tmp_path, "http://127.0.0.1:9").load()
    assert caught.value.exit_code == 4


def test_the_first_index_that_has_a_project_is_the_only_one_for_it(tmp_path):
    first = write(tmp_path / "first", files=[entry()])
    more = entry(project="mimctl-cls", filename="mimctl_cls-1-py3-none-any.whl", version="1")
    second = write(tmp_path / "second", files=[entry(version="9"), more])
    index = client(tmp_path, str(first), str(second)).load()
    assert [file.version for file in index.project("mimctl-det")] == ["0.1.0"]
    assert [file.version for file in index.project("mimctl-cls")] == ["1"]


def test_toolboxes_of_an_earlier_index_win(tmp_path):
    first = write(tmp_path / "first", toolboxes={"det": {"distribution": "mimctl-det"}})
    second = write(tmp_path / "second", toolboxes={"det": {"distribution": "evil"}, "cls": {"distribution": "x"}})
    found = client(tmp_path, str(first), str(second)).toolboxes()
    assert {name: each.distribution for name, each in found.items()} == {"det": "mimctl-det", "cls": "x"}


def test_zoo_models_carry_the_index_they_come_from(tmp_path):
    site = write(tmp_path / "site")
    (site / "zoo").mkdir()
    (site / "zoo/det.json").write_text('{"schema_version": 1, "plugin": "det", "models": [{"name": "a"}]}')
    reader = client(tmp_path, str(site))
    assert reader.zoo("det")["models"] == [{"name": "a", "address": str(site)}]
    assert reader.zoo("cls")["models"] == []


def test_no_index_named(tmp_path):
    with pytest.raises(UsageError) as caught:
        client(tmp_path).load()
    assert caught.value.code == "no-index"


def test_a_plain_index_beside_one_of_ours(tmp_path, served):
    root, url, _ = served
    (root / "simple").mkdir()
    (root / "simple/index.html").write_text('<a href="mimctl-det/">mimctl-det</a>')
    ours = write(tmp_path / "site", files=[entry()], toolboxes={"det": {"distribution": "mimctl-det"}})
    index = client(tmp_path, f"{url}/simple", str(ours)).load()
    assert index.plain == (f"{url}/simple",)
    assert (index.torch_verified, index.projects, list(index.toolboxes)) == ("2.13.0", {"mimctl-det"}, ["det"])


def test_a_folder_that_is_no_index(tmp_path):
    with pytest.raises(MimctlError) as caught:
        client(tmp_path, str(tmp_path)).load()
    assert caught.value.code == "not-an-index"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("<html>sorry</html>", "it is not JSON"),
        ("[]", "the document is not a JSON object"),
        ("{}", "it has no `schema_version`"),
        ('{"schema_version": 1}', "`files` is missing or no list"),
        ('{"schema_version": 1, "files": [7]}', "an entry of `files` is not a JSON object with a `project`"),
    ],
)
def test_a_malformed_index_says_what_is_wrong(tmp_path, text, cause):
    site = write(tmp_path / "site", index=text)
    with pytest.raises(MimctlError) as caught:
        client(tmp_path, str(site)).load()
    assert caught.value.code == "bad-index"
    assert caught.value.causes[0].startswith(cause)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"sha256": "12"}, "has no valid sha256"),
        ({"sha256": None}, "`sha256` is missing"),
        ({"filename": "../../x.whl"}, "is not the name of a wheel"),
        ({"filename": "x.tar.gz"}, "is not the name of a wheel"),
        ({"url": "../../etc/x.whl"}, "leaves the index"),
        ({"url": "%2e%2e/x.whl"}, "leaves the index"),
        ({"url": "/etc/x.whl"}, "leaves the index"),
        ({"url": "file:///etc/x.whl"}, "is neither relative nor an http address"),
        ({"size": "5"}, "`size` is missing or no number"),
        ({"tags": "any"}, "`tags` is not a list of texts"),
        ({"build": {"backend": 3}}, "`backend` is missing or no text"),
    ],
)
def test_a_malformed_entry_says_what_is_wrong(tmp_path, changes, cause):
    site = write(tmp_path / "site", files=[entry(**changes)])
    with pytest.raises(MimctlError) as caught:
        client(tmp_path, str(site)).load().project("mimctl-det")
    assert caught.value.code == "bad-index"
    assert cause in caught.value.causes[0]


def test_a_newer_schema_is_refused_by_name(tmp_path):
    site = write(tmp_path / "site", index='{"schema_version": 2, "generator": "mimctl 9.0"}')
    with pytest.raises(MimctlError) as caught:
        client(tmp_path, str(site)).load()
    assert caught.value.code == "index-version"
    assert caught.value.causes == ("written by mimctl 9.0",)


def test_a_file_with_another_hash_is_refused_and_not_kept(tmp_path):
    site = write(tmp_path / "site", files=[entry(sha256="0" * 64)])
    reader = client(tmp_path, str(site))
    with pytest.raises(IntegrityError) as caught:
        reader.fetch(reader.load().files[0])
    assert any(SHA in cause for cause in caught.value.causes)
    assert any("0" * 64 in cause for cause in caught.value.causes)
    assert not list((tmp_path / "cache/wheels").rglob("*.whl"))


def test_secrets_of_an_address_are_not_shown(tmp_path):
    with pytest.raises(MimctlError) as caught:
        client(tmp_path, "http://me:hunter2@127.0.0.1:9").load()
    assert "hunter2" not in str(caught.value.to_dict())
