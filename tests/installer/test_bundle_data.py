"""Published data sets in a bundle: fetched by their names, and found by configs where there is no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lookalike_data
import pytest
from static_server import Server, serving

from mimctl import api
from mimctl import settings as settings_module
from mimctl.errors import IntegrityError, MimctlError, UsageError
from mimctl.settings import Settings
from mimctl.zoo.datasets.table import DataSet

ROOT = Path(__file__).parents[2]
DIGITS = {f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")}


@pytest.fixture
def settings(site: Any, public: Any, venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Work with both indexes, without the operators (an index audits them), in a folder of one's own."""
    site.entries = [each for each in site.entries if each["project"] != "mimctl-ops"]
    public.add("packaging", "26.3")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    flags = {"python": str(venv / "bin" / "python"), "torch_index": "http://127.0.0.1:9/whl", "http_retries": 0}
    environ = {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}
    return settings_module.load({**flags, "index": (site.url,)}, environ=environ)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Server]:
    """Serve data sets until the test says that there is no network any more."""
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as server:
        yield server


def bundled(data_set: DataSet, tmp_path: Path, settings: Settings) -> Path:
    """Return a bundle with a data set that a file in `tmp_path` describes."""
    folder = tmp_path / "usb"
    extras = api.Extras(datasets=(str(tmp_path / f"{data_set.name}.toml"),))
    api.bundle(folder, ["mimctl", "packaging>=26"], extras=extras, settings=settings)
    return folder


def published(name: str, tmp_path: Path, publisher: Server) -> DataSet:
    return lookalike_data.publish_data_set(name, tmp_path / "served", publisher.address)


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """Return settings of a machine that never saw the network."""
    return replace(settings, cache_dir=tmp_path / "fresh cache", offline=True, index=())


def train_digits(folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Ask, in a folder, for what a training of a published config would start."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins/cls"))),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "fresh cache"),
        "MIMCTL_PYTHON": sys.executable,
        "MIMCTL_OFFLINE": "1",
    }
    argv = [sys.executable, "-m", "mimctl", "train", "cls", "lenet5_mnist", "--gpus", "0", "--dry-run"]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


def test_a_config_finds_bundled_data_where_there_is_no_network(
    tmp_path: Path, settings: Settings, publisher: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundled(published("mnist", tmp_path, publisher), tmp_path, settings)
    assert {path.name for path in (folder / "datasets/mnist").iterdir()} == {*DIGITS, "mnist.toml"}
    publisher.asked.clear()
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    lacking = train_digits(there, tmp_path)
    assert (lacking.returncode, "error[data-not-found]" in lacking.stderr) == (1, True)

    api.install_bundled(api.open_bundle(folder), settings=elsewhere(settings, tmp_path))
    assert {path.name for path in (there / "data/mnist").iterdir() if path.name[0] != "."} == DIGITS
    started = train_digits(there, tmp_path)
    assert started.returncode == 0, started.stderr
    assert publisher.asked == []


def test_archives_are_unpacked_on_the_other_side_and_the_second_time_is_nothing_to_do(
    tmp_path: Path, settings: Settings, publisher: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundled(published("voc2007", tmp_path, publisher), tmp_path, settings)
    names = {path.name for path in (folder / "datasets/voc2007").iterdir()}
    assert not {name for name in names if not name.endswith((".tar", ".toml"))}, "as published, not unpacked"
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    bundle = api.open_bundle(folder)
    api.install_bundled(bundle, settings=elsewhere(settings, tmp_path))
    (place,) = bundle.data_dirs
    assert list(place.rglob("JPEGImages/*.jpg"))
    assert not list(place.rglob("*.tar"))
    stamps = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    api.install_bundled(bundle, settings=elsewhere(settings, tmp_path))
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == stamps


def test_bundling_again_fetches_no_data_again(tmp_path: Path, settings: Settings, publisher: Server) -> None:
    data_set = published("mnist", tmp_path, publisher)
    first = (bundled(data_set, tmp_path, settings) / "manifest.json").read_bytes()
    publisher.asked.clear()
    assert (bundled(data_set, tmp_path, settings) / "manifest.json").read_bytes() == first
    assert publisher.asked == []
    assert not (tmp_path / "usb.part").exists()
    assert not list(settings.cache_dir.rglob("*ubyte*")), "archives may be long: none are kept in the cache"


def test_data_of_an_interrupted_bundle_is_not_fetched_again(
    tmp_path: Path, settings: Settings, publisher: Server
) -> None:
    data_set = published("mnist", tmp_path, publisher)
    last = tmp_path / "served" / data_set.files[-1].name
    body = last.read_bytes()
    last.unlink()
    with pytest.raises(MimctlError, match="cannot fetch"):
        bundled(data_set, tmp_path, settings)
    assert not (tmp_path / "usb").exists()
    last.write_bytes(body)
    publisher.asked.clear()
    api.open_bundle(bundled(data_set, tmp_path, settings))
    assert [path.lstrip("/") for path in publisher.asked] == [last.name]
    assert not (tmp_path / "usb.part").exists()


def test_a_wrong_file_of_the_publisher_ends_bundling(tmp_path: Path, settings: Settings, publisher: Server) -> None:
    data_set = published("mnist", tmp_path, publisher)
    wrong = tmp_path / "served" / data_set.files[0].name
    wrong.write_bytes(bytes(wrong.stat().st_size))
    with pytest.raises(IntegrityError, match="is not the one that was published"):
        bundled(data_set, tmp_path, settings)
    assert not (tmp_path / "usb").exists()


def test_data_that_was_changed_on_its_way_is_refused(tmp_path: Path, settings: Settings, publisher: Server) -> None:
    folder = bundled(published("mnist", tmp_path, publisher), tmp_path, settings)
    description = folder / "datasets/mnist/mnist.toml"
    text = description.read_text(encoding="utf-8")
    description.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(IntegrityError) as damaged:
        api.open_bundle(folder)
    assert damaged.value.code == "damaged-bundle"
    description.write_text(text, encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["datasets"][0]["description"] = f"../{tmp_path.name}/mnist.toml"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(IntegrityError) as led_out:
        api.open_bundle(folder)
    assert led_out.value.code == "damaged-bundle"


def test_a_name_that_nobody_has_is_refused_before_anything_is_fetched(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UsageError) as refused:
        api.bundle(tmp_path / "usb", ["det"], extras=api.Extras(datasets=("mnits",)), settings=settings)
    assert refused.value.code == "unknown-dataset"
    assert refused.value.hints[0].startswith("did you mean `mnist`")
    assert not settings.cache_dir.exists()


def test_a_folder_that_is_there_goes_before_a_name(tmp_path: Path, settings: Settings) -> None:
    own = Path.cwd() / "mnist"
    own.mkdir()
    (own / "1.jpg").write_bytes(b"picture")
    extras = api.Extras(datasets=("mnist",))
    api.bundle(tmp_path / "usb", ["mimctl", "packaging>=26"], extras=extras, settings=settings)
    bundle = api.open_bundle(tmp_path / "usb")
    assert ([each.name for each in bundle.folders], bundle.published) == (["mnist"], ())


def test_two_folders_of_one_name_are_refused(tmp_path: Path, settings: Settings) -> None:
    for place in ("a", "b"):
        (tmp_path / place / "photos").mkdir(parents=True)
    extras = api.Extras(datasets=(tmp_path / "a/photos", tmp_path / "b/photos"))
    with pytest.raises(MimctlError, match="two folders of data are called `photos`"):
        api.bundle(tmp_path / "usb", ["det"], extras=extras, settings=settings)
