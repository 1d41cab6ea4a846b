"""Withdrawing wheels: every page says so at once, and they come back the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from static_server import read, tree
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.site.build import SiteReport
from mimctl.site.yank import yank

Build = Callable[..., SiteReport]

ANY = "mimctl_ops-0.1.0-py3-none-any.whl"


@pytest.fixture
def site(build: Build, tmp_path: Path) -> Path:
    for backend, version in (("cpu", "0.1.0+cpu"), ("python", "0.1.0")):
        write_ops_wheel(tmp_path / "wheels", backend, version=version)
    write_wheel(tmp_path / "wheels", "mimctl_det-0.1.0-py3-none-any.whl")
    zoo = tmp_path / "zoo"
    (zoo / "files").mkdir(parents=True)
    (zoo / "files" / "tiny.bin").write_bytes(b"weights")
    models = [{"name": "tiny", "weights": {"file": "zoo/files/tiny.bin"}}]
    document = {"schema_version": 1, "plugin": "det", "models": models}
    (zoo / "det.json").write_text(json.dumps(document), encoding="utf-8")
    build(tmp_path / "site", tmp_path / "wheels", zoo=zoo)
    return tmp_path / "site"


def test_all_pages_say_that_a_wheel_is_withdrawn(site: Path, tmp_path: Path) -> None:
    before = tree(site)
    report = yank(site, [ANY], reason='"nms" <is> wrong')
    assert (report.changed, report.unchanged) == ((ANY,), ())
    for folder in ("simple", "whl/cpu"):
        page = (site / folder / "mimctl-ops/index.html").read_text(encoding="utf-8")
        assert page.count('data-yanked="&quot;nms&quot; &lt;is&gt; wrong"') == 1
        files = {each["filename"]: each["yanked"] for each in read(site / folder / "mimctl-ops/index.json")["files"]}
        assert files.pop(ANY) == '"nms" <is> wrong'
        assert set(files.values()) <= {False}
    (file,) = [file for file in IndexClient([str(site)]).load().files if file.yanked]
    assert (file.filename, file.yanked) == (ANY, '"nms" <is> wrong')
    assert "withdrawn: &quot;nms&quot; &lt;is&gt; wrong" in (site / "index.html").read_text(encoding="utf-8")
    changed = {name for name, data in tree(site).items() if before[name] != data}
    pages = {f"{folder}/mimctl-ops/index.{kind}" for folder in ("simple", "whl/cpu") for kind in ("html", "json")}
    assert changed == pages | {"index.json", "index.html", "page/data/index.js"}
    yank(site, [ANY], reason=None)
    assert tree(site) == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_without_a_reason_a_wheel_is_withdrawn_all_the_same(site: Path) -> None:
    yank(site, [ANY], reason="")
    page = (site / "simple/mimctl-ops/index.html").read_text(encoding="utf-8")
    assert 'data-yanked=""' in page
    assert read(site / "simple/mimctl-ops/index.json")["files"][0]["yanked"] is True
    assert next(file.yanked for file in IndexClient([str(site)]).load().files if file.filename == ANY)
    assert yank(site, [ANY], reason="").unchanged == (ANY,)
    assert yank(site, [ANY], reason="now there is one").changed == (ANY,)


def test_an_unknown_wheel_changes_nothing_and_names_the_nearest(site: Path) -> None:
    before = tree(site)
    with pytest.raises(MimctlError) as caught:
        yank(site, [ANY, "mimctl_ops-0.1.0-py3-none-ani.whl"], reason="x")
    assert (caught.value.code, caught.value.hints) == ("unknown-wheel", (f"did you mean `{ANY}`?",))
    assert tree(site) == before


@pytest.mark.parametrize("content", [None, "{}", '{"generator": "other 1.0", "files": []}'])
def test_only_an_index_of_ours_is_changed(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "home").mkdir()
    if content is not None:
        (tmp_path / "home/index.json").write_text(content, encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        yank(tmp_path / "home", [ANY], reason="x")
    assert caught.value.code == "not-an-index"


def test_a_withdrawal_costs_no_second_reading(
    build: Build, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mimctl.site import shelf

    def forbidden(*_: object) -> None:
        raise AssertionError("a wheel that is known was read again")

    yank(site, [ANY], reason="x", cache_dir=tmp_path / "cache")
    monkeypatch.setattr(shelf, "read_entry", forbidden)
    assert build(site, tmp_path / "wheels").yanked == (ANY,)
    (site / "files" / ANY).write_bytes((site / "files" / ANY).read_bytes())
    yank(site, [ANY], reason="y", cache_dir=tmp_path / "cache")
    with pytest.raises(AssertionError, match="read again"):  # touched by others: not trusted
        build(site, tmp_path / "wheels")
