"""The static index: what it holds, that it is the same every time, and that it is replaced whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from tiny_wheels import OPS_BUILD, write_ops_wheel, write_wheel

from mimctl.errors import ConfigError, IntegrityError, MimctlError, UsageError
from mimctl.site import people
from mimctl.site.build import SiteReport, SiteSources, build_site
from mimctl.site.sources import read_toolboxes

ROOT = Path(__file__).resolve().parents[2]

MODEL = {"name": "tiny", "config": "tiny.py", "weights": {"url": None, "file": "zoo/files/det/tiny.bin"}}


class Links(HTMLParser):
    """Collects the attributes of the links of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def build(*, wheels: Sequence[Path], out: Path, cache_dir: Path | None = None, **sources: object) -> SiteReport:
    return build_site(SiteSources(wheels=wheels, **sources), out, cache_dir=cache_dir)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    write_ops_wheel(folder, "cu13")
    write_ops_wheel(folder, "python")
    write_ops_wheel(folder, "cpu", version="0.1.0+cpu")
    write_ops_wheel(folder, "cu13", version="0.1.0+cu13")
    write_wheel(folder, "mimctl_det-0.1.0-py3-none-any.whl", metadata="Summary: detection")
    return folder


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo"
    (folder / "files" / "det").mkdir(parents=True)
    (folder / "files" / "det" / "tiny.bin").write_bytes(b"weights")
    write_zoo(folder, MODEL)
    return folder


def write_zoo(folder: Path, *models: object) -> None:
    document = {"schema_version": 1, "plugin": "det", "models": list(models)}
    (folder / "det.json").write_text(json.dumps(document), encoding="utf-8")


def read(path: Path) -> dict[str, object]:
    return json.loads(path.read_text(encoding="utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_index_json_holds_every_wheel_with_its_facts(wheels: Path, tmp_path: Path) -> None:
    report = build(wheels=[wheels], out=tmp_path / "site", matrix=ROOT / "wheels-matrix.yaml")
    index = read(tmp_path / "site/index.json")
    assert index["schema_version"] == 1
    assert index["torch"] == {"verified": report.torch_verified, "default": "2.13.0"}
    files = {entry["filename"]: entry for entry in index["files"]}
    assert sorted(files) == sorted(path.name for path in wheels.iterdir())
    fat = files["mimctl_ops-0.1.0-py3-none-manylinux_2_34_x86_64.whl"]
    whole = (tmp_path / "site" / fat["url"]).read_bytes()
    assert (fat["sha256"], fat["size"]) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert (fat["requires_python"], fat["requires_dist"]) == (">=3.11", ["torch>=2.10"])
    metadata = (tmp_path / "site" / f"{fat['url']}.metadata").read_bytes()
    assert fat["metadata_sha256"] == hashlib.sha256(metadata).hexdigest()
    codes = {"archs": ["9.0"], "ptx": ["9.0"], "ops": ["nms"]}
    versions = {"min_torch": "2.10", "max_torch": None, "min_driver": "580", "toolkit": "13.0"}
    assert fat["build"] == {"backend": "cu13", **versions, **codes}
    needs = ["libtorch.so", "libc.so.6"]
    library = {"name": "mimctl_ops/_mimctl_ops.so", "machine": "x86_64", "needs": needs, "weak": []}
    assert fat["audit"] == {"glibc": "2.17", "needed_glibc": "2.14", "libraries": [library]}
    labelled = files["mimctl_ops-0.1.0+cu13-py3-none-manylinux_2_34_x86_64.whl"]
    assert labelled["url"] == "files/mimctl_ops-0.1.0%2Bcu13-py3-none-manylinux_2_34_x86_64.whl"
    pure = files["mimctl_ops-0.1.0-py3-none-any.whl"]
    assert (pure["build"]["backend"], pure["audit"]) == ("python", None)
    assert files["mimctl_det-0.1.0-py3-none-any.whl"]["build"] is None


def test_simple_holds_unlabelled_versions_and_whl_one_backend_each(wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(wheels=[wheels], out=site)

    def names(folder: str) -> list[str]:
        return [entry["filename"] for entry in read(site / folder / "mimctl-ops/index.json")["files"]]

    any_wheel = "mimctl_ops-0.1.0-py3-none-any.whl"
    platform = "py3-none-manylinux_2_34_x86_64.whl"
    assert names("simple") == [any_wheel, f"mimctl_ops-0.1.0-{platform}"]
    assert names("whl/cpu") == [any_wheel, f"mimctl_ops-0.1.0+cpu-{platform}"]
    assert names("whl/cu13") == [any_wheel, f"mimctl_ops-0.1.0+cu13-{platform}"]
    assert sorted(path.name for path in (site / "whl").iterdir()) == ["cpu", "cu13"]
    for folder in ("simple", "whl/cpu", "whl/cu13"):
        assert (site / folder / "mimctl-det/index.html").is_file()


def test_every_link_of_every_page_leads_to_a_file_with_that_hash(wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(wheels=[wheels], out=site)
    num_links = 0
    for page in [*site.glob("simple/*/index.html"), *site.glob("whl/*/*/index.html")]:
        for link in Links(page).found:
            address, _, digest = (link["href"] or "").partition("#sha256=")
            assert "+" not in address
            target = page.parent / address.replace("%2B", "+")
            assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
            metadata = target.with_name(target.name + ".metadata").read_bytes()
            assert link["data-core-metadata"] == f"sha256={hashlib.sha256(metadata).hexdigest()}"
            num_links += 1
    assert num_links == 3 + 3 + 3


def test_the_same_input_gives_the_same_bytes(wheels: Path, zoo: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(wheels=[wheels], out=tmp_path / name, zoo=zoo, toolboxes=ROOT / "index/toolboxes.yaml")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_an_index_is_replaced_whole_and_nothing_else_is_left(wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(wheels=[wheels], out=site)
    (site / "files" / "left-over.whl").touch()
    (wheels / "mimctl_det-0.1.0-py3-none-any.whl").unlink()
    build(wheels=[wheels], out=site)
    assert not (site / "files" / "left-over.whl").exists()
    assert not (site / "simple/mimctl-det").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "wheels"]


def test_a_failure_leaves_the_old_index_as_it_was(wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(wheels=[wheels], out=site)
    before = tree(site)
    (wheels / "mimctl_bad-0.1.0-py3-none-any.whl").write_bytes(b"<html>")
    with pytest.raises(IntegrityError):
        build(wheels=[wheels], out=site)
    assert tree(site) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "wheels"]


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_failed_write_leaves_no_folder(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        Path("/dev/full").write_text("x", encoding="utf-8")
        return ""

    monkeypatch.setattr(people, "start_page", full)
    with pytest.raises(OSError, match="No space left"):
        build(wheels=[wheels], out=tmp_path / "site")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wheels"]


@pytest.mark.parametrize("content", ["precious.txt", "index.json"])
def test_a_folder_that_is_no_index_is_never_replaced(wheels: Path, tmp_path: Path, content: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / content).write_text('{"generator": "something else 1.0"}', encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        build(wheels=[wheels], out=home)
    assert caught.value.code == "not-a-site"
    assert [path.name for path in home.iterdir()] == [content]


@pytest.mark.parametrize("rest", ['"files": []', '"schema_version": 1', '"schema_version": 2', '"files": [3]'])
def test_a_damaged_index_is_not_replaced_unseen(wheels: Path, tmp_path: Path, rest: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.json").write_text(f'{{"generator": "mimctl 0.1.0", {rest}}}', encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        build(wheels=[wheels], out=site)
    assert caught.value.code in ("bad-index", "index-version")
    assert caught.value.hints == (f"delete `{site}` to build it from nothing",)
    assert [path.name for path in site.iterdir()] == ["index.json"]


def test_an_empty_folder_may_become_an_index_but_a_link_may_not(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    build(wheels=[wheels], out=tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    with pytest.raises(UsageError, match="is no index"):
        build(wheels=[wheels], out=tmp_path / "link")


def test_two_wheels_of_one_name_must_be_equal(wheels: Path, tmp_path: Path) -> None:
    name = "mimctl_det-0.1.0-py3-none-any.whl"
    again = tmp_path / "again"
    again.mkdir()
    (again / name).write_bytes((wheels / name).read_bytes())
    build(wheels=[wheels, again], out=tmp_path / "site")
    write_wheel(again, name, metadata="Summary: another")
    with pytest.raises(IntegrityError) as caught:
        build(wheels=[wheels, again], out=tmp_path / "site")
    assert caught.value.code == "duplicate-wheel"


def test_no_wheels_are_a_clear_error(tmp_path: Path) -> None:
    for place in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError) as caught:
            build(wheels=[place], out=tmp_path / "site")
        assert caught.value.code == "no-wheels"


def test_models_need_no_wheels(tmp_path: Path, zoo: Path) -> None:
    report = build(wheels=[], out=tmp_path / "site", zoo=zoo)
    assert (report.files, sum(report.models.values())) == ((), 1)
    again = build(wheels=[], out=tmp_path / "again", others=[str(tmp_path / "site")])
    assert (again.files, again.models) == ((), report.models)
    with pytest.raises(UsageError) as caught:
        build(wheels=[tmp_path], out=tmp_path / "again", zoo=zoo)
    assert caught.value.code == "no-wheels", "a folder that was named is to hold some"


def test_wrong_build_facts_are_refused(tmp_path: Path) -> None:
    for wrong in ({"min_torch": 2.1}, {"archs": "9.0"}, {"backend": "../cpu"}):
        write_wheel(tmp_path / "wheels", build={**OPS_BUILD, **wrong})
        with pytest.raises(IntegrityError, match="no usable wheel"):
            build(wheels=[tmp_path / "wheels"], out=tmp_path / "site")


def test_text_from_wheels_and_models_is_inert_on_pages(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    write_wheel(tmp_path / "wheels", metadata=f"Requires-Python: >=3.11{evil}\nSummary: {evil}")
    boxes = tmp_path / "toolboxes.yaml"
    boxes.write_text(yaml.safe_dump({"det": {"distribution": "mimctl-det", "summary": evil}}), encoding="utf-8")
    build(wheels=[tmp_path / "wheels"], out=tmp_path / "site", toolboxes=boxes)
    for page in (tmp_path / "site").rglob("*.html"):
        assert "<script>alert" not in page.read_text(encoding="utf-8")


def test_zoo_files_are_copied_and_hashed(wheels: Path, zoo: Path, tmp_path: Path) -> None:
    report = build(wheels=[wheels], out=tmp_path / "site", zoo=zoo)
    assert report.models == {"det": 1}
    (model,) = read(tmp_path / "site/zoo/det.json")["models"]
    assert model["weights"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert model["weights"]["size"] == 7
    assert (tmp_path / "site" / model["weights"]["file"]).read_bytes() == b"weights"


def test_yaml_zoo_files_become_json(wheels: Path, zoo: Path, tmp_path: Path) -> None:
    (zoo / "cls.yaml").write_text("schema_version: 1\nplugin: cls\nmodels:\n- {name: a}\n", encoding="utf-8")
    build(wheels=[wheels], out=tmp_path / "site", zoo=zoo)
    assert read(tmp_path / "site/zoo/cls.json")["models"] == [{"name": "a"}]


@pytest.mark.parametrize(
    "name", ["zoo/files/../../secret", "/etc/passwd", "zoo/files/link", "zoo/files/absent", "other/x"]
)
def test_a_zoo_takes_no_files_from_elsewhere(wheels: Path, zoo: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (zoo / "files" / "link").symlink_to(tmp_path / "secret")
    write_zoo(zoo, {**MODEL, "weights": {"file": name}})
    with pytest.raises(ConfigError) as caught:
        build(wheels=[wheels], out=tmp_path / "site", zoo=zoo)
    assert caught.value.code == "zoo-source"


def test_weights_that_are_not_what_the_zoo_says_are_refused(wheels: Path, zoo: Path, tmp_path: Path) -> None:
    write_zoo(zoo, {**MODEL, "weights": {"file": "zoo/files/det/tiny.bin", "sha256": "0" * 64}})
    with pytest.raises(IntegrityError) as caught:
        build(wheels=[wheels], out=tmp_path / "site", zoo=zoo)
    assert caught.value.code == "hash-mismatch"
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"schema_version": 2, "models": []}', '{"schema_version": 1, "models": [3]}']
)
def test_malformed_zoo_files_are_named(wheels: Path, zoo: Path, tmp_path: Path, body: str) -> None:
    (zoo / "det.json").write_text(body, encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        build(wheels=[wheels], out=tmp_path / "site", zoo=zoo)
    assert caught.value.code == "zoo-source"
    assert "det.json" in caught.value.message


def test_toolboxes_say_what_the_manifests_of_the_plugins_say() -> None:
    boxes = read_toolboxes(ROOT / "index/toolboxes.yaml")
    manifests = sorted((ROOT / "plugins").glob("*/mimctl_*/plugin.toml"))
    assert manifests
    for path in manifests:
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        box = boxes[manifest["name"]]
        assert box["distribution"] == f"mimctl-{manifest['name']}"
        assert {key: manifest[key] for key in ("summary", "aliases", "scopes")} == {
            key: box[key] for key in ("summary", "aliases", "scopes")
        }


def test_start_page_shows_the_commands(wheels: Path, tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        write_wheel(wheels, f"mimctl-{version}-py3-none-any.whl")
    build(wheels=[wheels], out=tmp_path / "site", toolboxes=ROOT / "index/toolboxes.yaml")
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    code = page.split('id="commands"')[1].split("<code>")[1].split("</code>")[0]
    pip, *lines = code.split("\n")
    assert pip == "pip install ADDRESS/files/mimctl-0.10.0-py3-none-any.whl", "the newest"
    assert lines == ["mimctl settings set index ADDRESS", "mimctl install det"], "cls has no wheel here"
    address = pip.split()[-1].replace("ADDRESS", (tmp_path / "site").as_uri())
    argv = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(tmp_path / "new")]
    subprocess.run([*argv, address], check=True, capture_output=True)
    assert (tmp_path / "new/mimctl-0.10.0.dist-info").is_dir()
