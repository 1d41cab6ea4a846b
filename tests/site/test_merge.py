"""`--from`: what is published is taken along, byte for byte, and nothing of it is trusted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from static_server import Server, body, endless, read, redirect, tree
from tiny_wheels import OPS_BUILD, write_ops_wheel, write_wheel

from mimctl.errors import IntegrityError, MimctlError
from mimctl.site.build import SiteReport, SiteSources, build_site
from mimctl.site.yank import yank

Build = Callable[..., SiteReport]
Serve = Callable[[Path], Server]

OLD = "mimctl_det-0.1.0-py3-none-any.whl"
NEW = "mimctl_det-0.2.0-py3-none-any.whl"


@pytest.fixture
def old(tmp_path: Path, build: Build) -> Path:
    """A published index with operators, a toolbox, models and a verified torch."""
    wheels, zoo = tmp_path / "old-wheels", tmp_path / "old-zoo"
    for backend, version in (("cu13", "0.1.0"), ("cu13", "0.1.0+cu13"), ("python", "0.1.0")):
        write_ops_wheel(wheels, backend, version=version)
    write_wheel(wheels, OLD)
    (zoo / "files").mkdir(parents=True)
    (zoo / "files" / "tiny.bin").write_bytes(b"weights")
    (zoo / "files" / "tiny.py").write_text("model = dict()\n", encoding="utf-8")
    models = [model("tiny", file="zoo/files/tiny.bin", config_file="zoo/files/tiny.py"), model("both")]
    write_zoo(zoo, models)
    toolboxes = tmp_path / "old.yaml"
    toolboxes.write_text(yaml.safe_dump({"det": {"distribution": "mimctl-det", "summary": "old"}}), encoding="utf-8")
    matrix = tmp_path / "wheels-matrix.yaml"
    matrix.write_text(
        "schema_version: 1\nprojects: {p: .}\n"
        "builds:\n  - {name: a, project: p, platform: any, backend: python, target_torch: '2.6', runner: x}\n"
        "verify:\n  - {build: a, torch: ['2.13.0'], python: ['3.11'], runner: x}\n",
        encoding="utf-8",
    )
    build(tmp_path / "old", wheels, zoo=zoo, toolboxes=toolboxes, matrix=matrix)
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A folder with one new wheel."""
    return write_wheel(tmp_path / "new-wheels", NEW).parent


def model(name: str, *, file: str | None = None, config_file: str | None = None) -> dict[str, object]:
    weights = {"url": None if file else "https://example.org/a.pth", "sha256": None, "sha8": None, "size": None}
    entry = {"name": name, "aliases": [], "collection": "Tiny", "config": f"{name}.py", "config_source": "mimctl"}
    more = {"config_file": config_file} if config_file else {}
    return {**entry, **more, "weights": {**weights, "file": file}, "results": [], "buildable": True}


def write_zoo(folder: Path, models: list[dict[str, object]]) -> None:
    document = {"schema_version": 1, "plugin": "det", "models": models}
    (folder / "det.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("by", ["folder", "http"])
def test_a_merged_index_is_the_one_built_from_all_at_once(
    build: Build, old: Path, new: Path, serve: Serve, tmp_path: Path, by: str
) -> None:
    address = str(old) if by == "folder" else serve(old).address
    report = build(tmp_path / "merged", new, others=[address])
    assert report.torch_verified == "2.13.0"
    assert report.models == {"det": 2}
    merged = tree(tmp_path / "merged")
    build(
        tmp_path / "whole",
        new,
        tmp_path / "old-wheels",
        zoo=tmp_path / "old-zoo",
        toolboxes=tmp_path / "old.yaml",
        matrix=tmp_path / "wheels-matrix.yaml",
    )
    assert merged == tree(tmp_path / "whole")
    assert merged["zoo/files/tiny.bin"] == b"weights"


def test_no_wheel_is_fetched_twice(build: Build, old: Path, new: Path, serve: Serve, tmp_path: Path) -> None:
    server = serve(old)
    build(tmp_path / "site", new, others=[server.address], cache=None)
    assert sorted(server.wheels_asked) == sorted(path.name for path in (tmp_path / "old-wheels").iterdir())
    before = tree(tmp_path / "site")
    server.asked.clear()
    build(tmp_path / "site", new, others=[server.address], cache=None)
    assert server.wheels_asked == [], "the index at --out holds them"
    assert tree(tmp_path / "site") == before
    build(tmp_path / "other", new, others=[server.address])
    server.asked.clear()
    build(tmp_path / "third", new, others=[server.address])
    assert server.wheels_asked == [], "the cache holds them"
    (tmp_path / "site/files" / OLD).write_bytes(b"tampered")
    build(tmp_path / "site", new, others=[server.address], cache=None)
    assert server.wheels_asked == [OLD], "what was changed at --out is fetched again"
    assert tree(tmp_path / "site") == before


def test_an_index_can_be_added_to_in_its_place(build: Build, old: Path, new: Path, tmp_path: Path) -> None:
    before = {path.name for path in (old / "files").iterdir()}
    report = build(old, new, others=[str(old)])
    assert {path.name for path in (old / "files").iterdir()} == before | {NEW, f"{NEW}.metadata"}
    assert report.models == {"det": 2}
    assert build(tmp_path / "mirror", others=[str(old)]).files == report.files, "no wheels of one's own are needed"
    assert tree(tmp_path / "mirror") == tree(old)


def test_what_is_withdrawn_stays_so(build: Build, old: Path, new: Path, serve: Serve, tmp_path: Path) -> None:
    yank(old, [OLD], reason="boxes are off by one")
    for place, sources in (("merged", {"others": [serve(old).address]}), ("old", {"others": [str(old)]})):
        assert build(tmp_path / place, new, tmp_path / "old-wheels", **sources).yanked == (OLD,)
        files = {entry["filename"]: entry for entry in read(tmp_path / place / "index.json")["files"]}
        assert files[OLD]["yanked"] == "boxes are off by one"
        assert files[NEW]["yanked"] is None
    assert build(old, tmp_path / "old-wheels").yanked == (OLD,), "building over an index never brings a wheel back"


def test_one_s_own_model_and_toolbox_win(build: Build, old: Path, new: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    (zoo / "files").mkdir(parents=True)
    write_zoo(zoo, [{**model("both"), "collection": "Mine"}])
    toolboxes = tmp_path / "new.yaml"
    toolboxes.write_text(yaml.safe_dump({"det": {"distribution": "mimctl-det", "summary": "new"}}), encoding="utf-8")
    build(tmp_path / "site", new, others=[str(old)], zoo=zoo, toolboxes=toolboxes)
    models = {each["name"]: each for each in read(tmp_path / "site/zoo/det.json")["models"]}
    assert {name: each["collection"] for name, each in models.items()} == {"both": "Mine", "tiny": "Tiny"}
    assert read(tmp_path / "site/toolboxes.json")["toolboxes"]["det"]["summary"] == "new"
    (zoo / "files" / "tiny.bin").write_bytes(b"other weights")
    write_zoo(zoo, [model("mine", file="zoo/files/tiny.bin")])
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", new, others=[str(old)], zoo=zoo)
    assert caught.value.code == "zoo-source"
    assert "different files" in caught.value.message


def test_one_name_has_one_content_among_all(build: Build, old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_wheel(other, OLD, metadata="Summary: rebuilt in secret")
    for sources in ({"others": [str(old)]}, {}):
        before = tree(old)
        with pytest.raises(IntegrityError) as caught:
            build(old, other, **sources)
        assert caught.value.code == "duplicate-wheel"
        assert len(re.findall("has sha256 [0-9a-f]{64}", "\n".join(caught.value.causes))) == 2
        assert tree(old) == before
    build(tmp_path / "second", other)
    with pytest.raises(IntegrityError) as caught:
        build(tmp_path / "site", others=[str(old), str(tmp_path / "second")])
    assert caught.value.code == "duplicate-wheel"


def published(folder: Path, **changes: object) -> Path:
    """Write the index.json of an index that lies about its one wheel."""
    path = write_wheel(folder / "files", OLD)
    data = path.read_bytes()
    entry = {"project": "mimctl-det", "filename": OLD, "url": f"files/{OLD}", "version": "0.1.0"}
    entry |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "tags": ["py3-none-any"]}
    index = {"schema_version": 1, "generator": "evil 1.0", "files": [{**entry, **changes}], "torch": {}}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def refused(build: Build, address: str, out: Path) -> str:
    """Build from a hostile index and return the code of the refusal; nothing may be left of it."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(MimctlError) as caught:
        build(out, others=[address])
    left = [path for path in sorted(out.parent.iterdir()) if path not in before and path.name != "cache"]
    assert left == []
    assert list((out.parent / "cache").rglob("*.part")) == []
    return caught.value.code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"filename": "../x-1-py3-none-any.whl"}, "bad-index"),
        ({"filename": "..\\x-1-py3-none-any.whl"}, "bad-index"),
        ({"filename": "/etc/x-1-py3-none-any.whl"}, "bad-index"),
        ({"filename": "x.whl"}, "bad-index"),
        ({"filename": ".x-1-py3-none-any.whl"}, "bad-index"),
        ({"filename": "x-1-py3-none-any\n.whl"}, "bad-index"),
        ({"filename": "x-1-py3-none-" + "a" * 300 + ".whl"}, "bad-index"),
        ({"filename": '"><script>-1-py3-none-any.whl'}, "bad-index"),
        ({"filename": "mimctl_other-0.1.0-py3-none-any.whl"}, "bad-index"),
        ({"url": "../secret.whl"}, "bad-index"),
        ({"url": "files/%2e%2e/%2e%2e/secret.whl"}, "bad-index"),
        ({"url": "file:///etc/passwd"}, "bad-index"),
        ({"url": "ftp://127.0.0.1/x.whl"}, "bad-index"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "unsafe-address"),
        ({"url": "files/absent.whl"}, "http-status"),
        ({"size": None}, "bad-index"),
        ({"size": -1}, "bad-index"),
        ({"size": 1 << 60}, "bad-index"),
        ({"size": 100}, "length-mismatch"),
        ({"size": 100_000}, "length-mismatch"),
        ({"sha256": "0" * 64}, "hash-mismatch"),
        ({"sha256": "../../x"}, "bad-index"),
        ({"sha256": None}, "bad-index"),
    ],
)
def test_an_index_that_lies_is_refused(
    build: Build, serve: Serve, tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    folder = published(tmp_path / "evil", **changes)
    assert refused(build, serve(folder).address, tmp_path / "site") == code


def test_a_server_that_sends_something_else_is_refused(build: Build, serve: Serve, tmp_path: Path) -> None:
    folder = published(tmp_path / "evil")
    size = read(folder / "index.json")["files"][0]["size"]
    server = serve(folder)
    for trick, code in (
        (body(b"x" * size), "hash-mismatch"),
        (body(b"x" * (size + 1)), "length-mismatch"),
        (body(b"<!doctype html><p>please sign in"), "length-mismatch"),
        (endless, "length-mismatch"),
        (redirect("file:///etc/passwd"), "bad-redirect"),
        (redirect("ftp://127.0.0.1/x.whl"), "bad-redirect"),
        (redirect("http://169.254.169.254/"), "unsafe-address"),
        (redirect(f"/files/{OLD}"), "bad-redirect"),
    ):
        server.tricks[f"/files/{OLD}"] = trick
        assert refused(build, server.address, tmp_path / "site") == code


@pytest.mark.parametrize("trick", [endless, body(b"[" * 200_000), body(b"<html>"), redirect("file:///etc/passwd")])
def test_a_document_that_is_none_is_refused(
    build: Build, serve: Serve, tmp_path: Path, trick: Callable[..., None]
) -> None:
    server = serve(published(tmp_path / "evil"))
    server.tricks["/index.json"] = trick
    assert refused(build, server.address, tmp_path / "site") in ("too-large", "bad-index", "bad-redirect")


def test_a_local_index_that_lies_is_refused(build: Build, tmp_path: Path) -> None:
    for changes, code in (({"sha256": "0" * 64}, "hash-mismatch"), ({"url": "../x.whl"}, "bad-index")):
        assert refused(build, str(published(tmp_path / "evil", **changes)), tmp_path / "site") == code


def test_a_published_wheel_is_audited_like_one_s_own(build: Build, serve: Serve, tmp_path: Path) -> None:
    name = "mimctl_ops-0.1.0-py3-none-any.whl"
    path = write_wheel(tmp_path / "evil/files", name, build=OPS_BUILD, metadata="Requires-Dist: torch>=2.10")
    data = path.read_bytes()
    changes = {"project": "mimctl-ops", "filename": name, "url": f"files/{name}", "size": len(data)}
    folder = published(tmp_path / "evil", **changes, sha256=hashlib.sha256(data).hexdigest())
    assert refused(build, serve(folder).address, tmp_path / "site") == "wheel-audit"


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ({"file": "zoo/files/../../../secret", "sha256": "0" * 64, "size": 7}, "bad-zoo"),
        ({"file": "other/tiny.bin", "sha256": "0" * 64, "size": 7}, "bad-index"),
        ({"file": "zoo/files/tiny.bin", "sha256": "0" * 64, "size": 7}, "hash-mismatch"),
        ({"file": "zoo/files/tiny.bin", "sha256": "zz", "size": 7}, "bad-zoo"),
        ({"file": "zoo/files/tiny.bin", "sha256": "0" * 64, "size": 1 << 60}, "bad-index"),
        ({"file": "zoo/files/tiny.bin", "sha256": "0" * 64, "size": None}, "bad-index"),
    ],
)
def test_models_that_lie_are_refused(
    build: Build, old: Path, serve: Serve, tmp_path: Path, weights: dict[str, object], code: str
) -> None:
    zoo = read(old / "zoo/det.json")
    zoo["models"][0]["weights"] |= weights
    (old / "zoo/det.json").write_text(json.dumps(zoo), encoding="utf-8")
    assert refused(build, serve(old).address, tmp_path / "site") == code


def test_a_reason_of_others_is_one_harmless_line(build: Build, serve: Serve, tmp_path: Path) -> None:
    reason = 'bad\x1b[2J"><script>alert(1)</script>\n' + "long " * 200
    folder = published(tmp_path / "evil", yanked=reason)
    build(tmp_path / "site", others=[serve(folder).address])
    (entry,) = read(tmp_path / "site/index.json")["files"]
    assert len(entry["yanked"]) <= 300
    assert entry["yanked"].isprintable()
    for page in (tmp_path / "site").rglob("*.html"):
        assert "<script>alert" not in page.read_text(encoding="utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["project", "filename", "url", "version", "sha256", "size", "tags", "yanked", "build", "requires_dist"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
@settings(max_examples=60, deadline=None)
def test_no_index_crashes_a_build(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        build_site(SiteSources(others=[str(published(folder / "evil", **changes))]), folder / "site")
    except MimctlError as err:
        assert err.code in ("bad-index", "bad-wheel", "hash-mismatch", "missing-file", "bad-url")
