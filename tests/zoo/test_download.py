"""`download_models` as a whole: from a short name to two files that lie side by side."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config
from mimctl.config.beside import config_for_checkpoint, is_downloaded
from mimctl.errors import IntegrityError, MimctlError, NetworkError, UnsafeFileError, UsageError, render
from mimctl.index.client import IndexClient
from mimctl.settings import Settings
from mimctl.zoo.download import Downloaded, download_models, fetch_weights
from mimctl.zoo.mirrors import ANY_HOST
from mimctl.zoo.upstream import unpack_configs, upstream_configs


@pytest.fixture
def fetch(index: IndexClient, settings: Settings, mirror: Any, tmp_path: Path) -> Any:
    """Return a function that downloads one model of `det` to `dest` through the mirror."""

    def run(name: str = "rtmdet_s", **options: Any) -> Downloaded:
        given = {"dest": tmp_path / "dest", "mirrors": {ANY_HOST: mirror.address}, "settings": settings, **options}
        return download_models("det", [name], index=index, **given)[0]

    return run


@pytest.fixture
def published(mirror: Any, facts: Any, package_index: Path) -> Any:
    """Put the published weights on the mirror and the wheel on the package index; return the mirror."""
    mirror.put(facts.path, facts.weights)
    return mirror


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_short_name_brings_weights_and_config_side_by_side(fetch: Any, published: Any, facts: Any) -> None:
    notes: list[str] = []
    found = fetch("rtmdet_s", note=notes.append)
    assert found.checkpoint.name == facts.filename
    assert found.checkpoint.read_bytes() == facts.weights
    assert found.config == found.checkpoint.with_name(f"{facts.stem}.py")
    assert names_in(found.config.parent) == [f"{facts.stem}.py", facts.filename]
    assert (found.check, found.config_source, found.is_new) == ("32-bit", "mmdet==3.3.0", True)
    assert any("32-bit check only" in note for note in notes)


def test_flattened_config_equals_the_one_with_bases(fetch: Any, published: Any, settings: Settings, facts: Any) -> None:
    flattened = Config.fromfile(fetch().config)
    root = upstream_configs("mmdet==3.3.0", cache_dir=settings.cache_dir)
    assert flattened == Config.fromfile(root / "rtmdet" / f"{facts.stem}.py")
    assert flattened.model.neck.to_dict() == {"in_channels": [128, 256, 512], "out_channels": 256}
    assert flattened.scale == (640, 640)
    assert flattened.model.scope == "mmdet"


def test_second_run_asks_nobody_and_writes_nothing(
    fetch: Any, published: Any, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    first = fetch()
    stamps = {path: path.stat().st_mtime_ns for path in first.config.parent.iterdir()}
    published.requests.clear()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    again = fetch(settings=dataclasses.replace(settings, offline=True))
    assert (again.is_new, again.config_state) == (False, "same")
    assert published.requests == []
    assert {path: path.stat().st_mtime_ns for path in first.config.parent.iterdir()} == stamps


def test_another_folder_is_served_from_the_cache_offline(
    fetch: Any, published: Any, settings: Settings, tmp_path: Path, facts: Any
) -> None:
    fetch()
    found = fetch(dest=tmp_path / "other", settings=dataclasses.replace(settings, offline=True))
    assert found.checkpoint.read_bytes() == facts.weights
    assert names_in(tmp_path / "other") == [f"{facts.stem}.py", facts.filename]


def test_offline_with_an_empty_cache_names_what_is_missing(fetch: Any, settings: Settings, facts: Any) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(settings=dataclasses.replace(settings, offline=True))
    assert (caught.value.code, caught.value.exit_code) == ("offline", 4)


def test_wrong_hash_is_refused_and_leaves_nothing(
    fetch: Any, mirror: Any, package_index: Path, facts: Any, tmp_path: Path
) -> None:
    mirror.put(facts.path, b"something else")
    with pytest.raises(IntegrityError) as caught:
        fetch()
    shown = render(caught.value)
    assert caught.value.code == "hash-mismatch"
    assert facts.sha256[:8] in shown
    assert "sha256 found" in shown
    assert names_in(tmp_path / "dest") == []


def test_spoilt_file_at_the_destination_is_replaced(fetch: Any, published: Any, facts: Any) -> None:
    checkpoint = fetch().checkpoint
    checkpoint.write_bytes(facts.weights[:1000])
    found = fetch()
    assert found.is_new
    assert found.checkpoint.read_bytes() == facts.weights


def test_config_that_a_person_edited_is_kept(fetch: Any, published: Any) -> None:
    config = fetch().config
    edited = config.read_text(encoding="utf-8") + "\nmodel['mine'] = 1\n"
    config.write_text(edited, encoding="utf-8")
    notes: list[str] = []
    found = fetch(note=notes.append)
    assert found.config_state == "kept"
    assert config.read_text(encoding="utf-8") == edited
    assert any("kept" in note for note in notes)


def test_config_of_another_origin_is_kept(fetch: Any, published: Any, facts: Any, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    own = tmp_path / "dest" / f"{facts.stem}.py"
    own.write_text("model = dict(type='Mine')\n", encoding="utf-8")
    assert fetch().config_state == "kept"
    assert own.read_text(encoding="utf-8") == "model = dict(type='Mine')\n"


def test_config_of_an_older_version_is_brought_up_to_date(fetch: Any, published: Any, settings: Settings) -> None:
    config = fetch().config
    fresh = config.read_text(encoding="utf-8")
    base = settings.cache_dir / "upstream" / "mmdet-3.3.0" / "configs" / "_base_" / "runtime.py"
    base.write_text("default_scope = 'mmdet'\nlog_level = 'DEBUG'\n", encoding="utf-8")
    assert fetch().config_state == "new"
    assert config.read_text(encoding="utf-8") != fresh
    assert "DEBUG" in config.read_text(encoding="utf-8")


def test_config_of_the_toolbox_is_preferred(fetch: Any, mirror: Any, facts: Any, tmp_path: Path) -> None:
    mirror.put(facts.path, facts.weights)
    ours = tmp_path / "ours" / "rtmdet" / f"{facts.stem}.py"
    ours.parent.mkdir(parents=True)
    ours.write_text("model = dict(type='RTMDet', ours=True)\n", encoding="utf-8")
    found = fetch(configs_dir=tmp_path / "ours")
    assert found.config_source == "mimctl"
    assert Config.fromfile(found.config).model.ours is True


def test_weights_in_the_index_need_no_network(fetch: Any, own_configs: Path, settings: Settings, facts: Any) -> None:
    found = fetch("rtmdet_nano", configs_dir=own_configs, settings=dataclasses.replace(settings, offline=True))
    assert found.checkpoint.read_bytes() == facts.own_weights
    assert (found.check, found.config.name) == ("sha256", "rtmdet_nano.py")


def test_without_dest_both_files_lie_in_the_cache(fetch: Any, published: Any, settings: Settings) -> None:
    found = fetch(dest=None)
    assert found.checkpoint.parent == found.config.parent
    assert settings.cache_dir in found.checkpoint.parents


def test_config_that_imports_code_is_marked(fetch: Any, own_configs: Path) -> None:
    config = own_configs / "rtmdet" / "rtmdet_nano.py"
    config.write_text("custom_imports = dict(imports=['evil'])\nmodel = dict(type='X')\n", encoding="utf-8")
    found = fetch("rtmdet_nano", configs_dir=own_configs)
    assert found.needs_trust
    assert is_downloaded(found.config)
    located = config_for_checkpoint(found.checkpoint)
    assert located is not None
    assert located.needs_trust
    assert located.path == found.config


def test_flat_mirror_and_published_host_are_tried_in_turn(
    fetch: Any, published: Any, facts: Any, index: IndexClient, index_dir: Path, settings: Settings, tmp_path: Path
) -> None:
    notes: list[str] = []
    (published.folder / facts.path).rename(published.folder / facts.filename)
    fetch(mirrors={facts.host: published.address}, note=notes.append)
    assert published.requests == [f"/{facts.path}", f"/{facts.filename}"]
    assert any("404" in note for note in notes)

    zoo = json.loads((index_dir / "zoo" / "det.json").read_text(encoding="utf-8"))
    zoo["models"][0]["weights"]["url"] = f"{published.address}/{facts.filename}"
    (index_dir / "zoo" / "det.json").write_text(json.dumps(zoo), encoding="utf-8")
    found = download_models(
        "det",
        ["rtmdet_s"],
        dest=tmp_path / "fallback",
        index=IndexClient([str(index_dir)], cache_dir=settings.cache_dir),
        settings=dataclasses.replace(settings, mirrors={"127.0.0.1": "http://127.0.0.1:9"}),
    )
    assert found[0].checkpoint.read_bytes() == facts.weights


def test_file_that_no_mirror_has_names_every_address(fetch: Any, mirror: Any, facts: Any) -> None:
    with pytest.raises(MimctlError) as caught:
        fetch()
    shown = render(caught.value)
    assert facts.url in shown
    assert f"{mirror.address}/{facts.path}" in shown
    assert "404" in shown


def test_all_names_are_resolved_before_anything_is_fetched(
    index: IndexClient, settings: Settings, mirror: Any, tmp_path: Path
) -> None:
    for names, code in ((["rtmdet_s", "rtmdet_q"], "unknown-model"), (["rtmdet_s", "tracker"], "no-weights")):
        with pytest.raises(MimctlError) as caught:
            download_models(
                "det", names, dest=tmp_path / "d", index=index, settings=settings, mirrors={ANY_HOST: mirror.address}
            )
        assert caught.value.code == code
    assert mirror.requests == []


def test_toolbox_without_models_is_an_error(index: IndexClient, settings: Settings) -> None:
    with pytest.raises(MimctlError) as caught:
        download_models("pose", ["x"], index=index, settings=settings)
    assert caught.value.code == "no-zoo"


def test_package_index_without_the_wheel_is_a_network_error(
    fetch: Any, mirror: Any, facts: Any, package_index: Path
) -> None:
    mirror.put(facts.path, facts.weights)
    next(package_index.glob("*.whl")).unlink()
    with pytest.raises(NetworkError) as caught:
        fetch()
    assert caught.value.code == "package-index"
    assert "mmdet==3.3.0" in render(caught.value)


def test_uv_stands_in_where_there_is_no_pip(
    package_index: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: Any
) -> None:
    import shutil
    import sys

    uv = Path(sys.executable).with_name("uv")
    if not uv.exists() and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    bare = tmp_path / "python without pip"
    bare.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n", encoding="utf-8")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    if uv.exists():
        monkeypatch.setenv("PATH", f"{uv.parent}{os.pathsep}{os.environ['PATH']}")
    root = upstream_configs("mmdet==3.3.0", cache_dir=settings.cache_dir, python=bare)
    assert (root / "rtmdet" / f"{facts.stem}.py").is_file()


@pytest.mark.parametrize("name", ["../../evil.py", "/evil.py", "a\\..\\evil.py"])
def test_wheel_members_that_leave_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"mmdet/.mim/configs/{name}", "a = 1")
    with pytest.raises(UnsafeFileError):
        unpack_configs(wheel, tmp_path / "out" / "configs")
    assert not list(tmp_path.rglob("evil.py"))


def test_weights_that_a_config_names_are_fetched_once(settings: Settings, mirror: Any, facts: Any) -> None:
    mirror.put(facts.filename, facts.weights)
    url = f"{mirror.address}/{facts.filename}"
    first = fetch_weights(url, settings=settings)
    assert first == fetch_weights(url, settings=settings)
    assert first.name == facts.filename
    assert len(mirror.requests) == 1
    assert fetch_weights(str(first), settings=settings) == first


def test_weights_that_a_config_names_are_checked_against_their_name(settings: Settings, mirror: Any) -> None:
    mirror.put("resnet50-0676ba61.pth", b"not resnet50")
    with pytest.raises(IntegrityError):
        fetch_weights(f"{mirror.address}/resnet50-0676ba61.pth", settings=settings)


def test_weights_that_changed_at_their_address_are_refused(settings: Settings, mirror: Any) -> None:
    mirror.put("plain.pth", b"first")
    path = fetch_weights(f"{mirror.address}/plain.pth", settings=settings)
    path.unlink()
    mirror.put("plain.pth", b"other")
    with pytest.raises(IntegrityError) as caught:
        fetch_weights(f"{mirror.address}/plain.pth", settings=settings)
    assert caught.value.code == "hash-mismatch"


def test_local_weights_that_a_config_names_are_used_in_place(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "my weights.pth"
    assert fetch_weights(path.as_uri(), settings=settings) == path


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://127.0.0.1:9/a/%2e%2e", "http://127.0.0.1:9/%0a"])
def test_address_without_a_file_name_is_a_usage_error(settings: Settings, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        fetch_weights(url, settings=settings)
    assert caught.value.code == "bad-url"


def test_config_never_leads_to_the_metadata_service(settings: Settings) -> None:
    with pytest.raises(MimctlError) as caught:
        fetch_weights("http://169.254.169.254/latest/x.pth", settings=settings)
    assert caught.value.code == "unsafe-address"
