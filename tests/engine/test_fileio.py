"""File access: what is not there or not readable is named; writing is all or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimctl.engine.files import datafiles, fileio
from mimctl.errors import ConfigError, MimctlError, UnsafeFileError


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    datafiles.dump({"a": [1, 2]}, path)
    assert datafiles.load(path) == {"a": [1, 2]}
    assert datafiles.load(f"file://{path}") == {"a": [1, 2]}
    assert fileio.get_text(path, backend_args={"backend": "disk"}) == json.dumps({"a": [1, 2]})
    assert fileio.list_dir(path.parent) == ["a.json"]
    assert fileio.exists(path)
    assert not fileio.exists(tmp_path / "b")
    with fileio.local_path(path) as local:
        assert local == path


def test_a_missing_file_names_the_first_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(MimctlError) as caught:
        fileio.get(tmp_path / "no" / "such" / "file.jpg")
    assert caught.value.code == "missing-file"
    assert caught.value.causes == (f"the folder {tmp_path / 'no'} does not exist",)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    fileio.put_text("old", path)

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        fileio.put_text("new", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_yaml_is_read_and_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [1, 2]\n")
    assert datafiles.load(tmp_path / "a.yaml") == {"a": [1, 2]}
    (tmp_path / "b.yaml").write_text("a: [1\n")
    with pytest.raises(MimctlError, match=r"b\.yaml is not valid YAML"):
        datafiles.load(tmp_path / "b.yaml")
    (tmp_path / "c.json").write_text('{"a": 1,}')
    with pytest.raises(MimctlError) as caught:
        datafiles.load(tmp_path / "c.json")
    assert caught.value.code == "bad-annotations"
    assert "line 1" in caught.value.causes[0]


def test_pickles_are_never_read_as_annotations(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError):
        datafiles.load(tmp_path / "a.pkl")


def test_an_unknown_back_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="petrel"):
        fileio.get("a.jpg", backend_args={"backend": "petrel"})


@pytest.mark.parametrize(
    ("prefix", "path", "joined"),
    [
        ("data", "a.jpg", "data/a.jpg"),
        ("data/", "a.jpg", "data/a.jpg"),
        ("data", "", "data"),
        ("", "a.jpg", "a.jpg"),
        ("data", "/a.jpg", "/a.jpg"),
        ("data", "http://h/a.jpg", "http://h/a.jpg"),
        ("http://h/data/", "a.jpg", "http://h/data/a.jpg"),
    ],
)
def test_join(prefix: str, path: str, joined: str) -> None:
    assert fileio.join(prefix, path) == joined


def test_files_are_read_over_http(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp", reason="reading over http needs the extra")
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    (tmp_path / "a.txt").write_text("hello")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert fileio.get_text(f"{address}/a.txt") == "hello"
        with pytest.raises(MimctlError) as caught:
            fileio.get(f"{address}/none.txt")
        assert caught.value.code == "missing-file"
        with fileio.local_path(f"{address}/a.txt") as local:
            assert local.read_text() == "hello"
    finally:
        server.shutdown()
        server.server_close()
