"""Configs whose bases lie in another package: these come out of that package's wheel, as data, by the right release."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config
from mimctl.errors import ConfigError, NetworkError
from mimctl.index.client import IndexClient
from mimctl.settings import Settings
from mimctl.zoo.download import Downloaded, Wanted, download_models
from mimctl.zoo.mirrors import ANY_HOST
from mimctl.zoo.upstream import upstream_configs
from mimctl.zoo.upstream_bases import bases_of

MODEL = "rotated/rotated_s.py"
OLD = {"_base_/model.py": "_base_ = './part.py'\nmodel = dict(type='RTMDet', release='old')\n"}
NEW = {"_base_/model.py": "_base_ = './part.py'\nmodel = dict(type='RTMDet', release='new')\n"}
PART = {"_base_/part.py": "part = 1\n"}
ROTATED = {
    MODEL: "_base_ = ['mmdet::_base_/model.py', './schedule.py']\nmodel = dict(angle='le90')\n",
    "rotated/schedule.py": "epochs = 36\n",
}


@pytest.fixture
def fetch(index_dir: Path, settings: Settings, mirror: Any, publish: Any, facts: Any, tmp_path: Path) -> Any:
    """Return a function that downloads the model of `mmrotate`, which is built on `mmdet`, into `dest`."""
    mirror.put(facts.path, facts.weights)
    path = index_dir / "zoo" / "det.json"
    zoo = json.loads(path.read_text(encoding="utf-8"))
    zoo["models"][0] |= {"config": MODEL, "config_source": "mmrotate==1.0.0rc1"}
    path.write_text(json.dumps(zoo), encoding="utf-8")
    publish("mmdet-3.0.0", {**OLD, **PART})
    publish("mmdet-3.2.0", {**NEW, **PART})

    def run(**options: Any) -> Downloaded:
        used = replace(settings, offline=options.pop("offline", False))
        return download_models(
            "det",
            ["rtmdet_s"],
            index=IndexClient([str(index_dir)], cache_dir=settings.cache_dir),
            wanted=Wanted(bases=options.pop("bases", False)),
            dest=options.pop("dest", tmp_path / "dest"),
            mirrors={ANY_HOST: mirror.address},
            settings=used,
            **options,
        )[0]

    return run


def rotate(publish: Callable[..., None], *requires: str, configs: dict[str, str] = ROTATED) -> None:
    publish("mmrotate-1.0.0rc1", configs, requires)


def test_bases_come_by_the_release_that_the_wheel_wants(fetch: Any, publish: Any, settings: Settings) -> None:
    rotate(publish, "mmcv>=2; extra == 'mim'", "mmdet (<3.1.0,>=3.0.0rc2); extra == 'mim'")
    notes: list[str] = []
    flattened = Config.fromfile(fetch(note=notes.append).config)
    assert flattened.model.to_dict() == {"type": "RTMDet", "release": "old", "angle": "le90", "_scope_": "mmdet"}
    assert (flattened.part, flattened.epochs) == (1, 36)
    assert sum("from the package index" in note for note in notes) == 2
    assert {path.name for path in (settings.cache_dir / "upstream").iterdir()} == {"mmrotate-1.0.0rc1", "mmdet-3.0.0"}


def test_where_the_wheel_names_no_release_the_newest_is_fetched_once(fetch: Any, publish: Any) -> None:
    rotate(publish)
    publish("mmdet-3.9.0", {**NEW, **PART})
    notes: list[str] = []
    for _ in range(2):
        assert Config.fromfile(fetch(note=notes.append).config).model.release == "new"
    assert sum("fetching `mmdet" in note for note in notes) == 1


def test_the_fetched_tree_loads_where_there_is_no_network(
    fetch: Any, publish: Any, settings: Settings, tmp_path: Path
) -> None:
    rotate(publish, "mmdet<3.1.0")
    found = fetch(bases=True)
    flattened = Config.fromfile(fetch(dest=tmp_path / "flat").config)
    shutil.rmtree(settings.cache_dir)
    moved = (tmp_path / "dest").rename(tmp_path / "elsewhere")
    assert Config.fromfile(moved / found.config.name) == flattened
    assert {path.relative_to(tmp_path / "dest").as_posix() for path in found.bases} == {
        "mmdet/.mim/configs/_base_/model.py",
        "mmdet/.mim/configs/_base_/part.py",
        f"mmrotate/.mim/configs/{MODEL}",
        "mmrotate/.mim/configs/rotated/schedule.py",
    }
    heads = {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in moved.rglob("*.py")}
    assert "mmdet==3.0.0" in heads["model.py"]
    assert "mmrotate==1.0.0rc1" in heads["schedule.py"]


def test_what_lies_in_the_cache_serves_offline_and_what_does_not_is_named(
    fetch: Any, publish: Any, settings: Settings
) -> None:
    rotate(publish, "mmdet<3.1.0")
    first = Config.fromfile(fetch().config)
    assert Config.fromfile(fetch(offline=True).config) == first
    shutil.rmtree(settings.cache_dir / "upstream" / "mmdet-3.0.0")
    with pytest.raises(NetworkError) as lacking:
        fetch(offline=True)
    assert lacking.value.message == "offline, and the configs of `mmdet<3.1.0` are not in the cache"


def test_pure_python_bases_of_another_package_are_found_too(fetch: Any, publish: Any, tmp_path: Path) -> None:
    text = (
        "from mmengine.config import read_base\nwith read_base():\n"
        "    from mmdet.configs._base_.part import *\n    from .schedule import *\nown = 2\n"
    )
    rotate(publish, "mmdet<3.1.0", configs={**ROTATED, MODEL: text})
    found = fetch(bases=True)
    shutil.rmtree(tmp_path / "cache")
    config = Config.fromfile(found.bases[-1])
    assert (config.part, config.epochs, config.own) == (1, 36, 2)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("requests::x.py", "belongs to another package, which `mmrotate==1.0.0rc1` does not require"),
        ("mmdet::../../evil.py", "`mmdet::../../evil.py` is no base"),
        ("mmdet::/etc/passwd", "`mmdet::/etc/passwd` is no base"),
        ("mmdet::_base_/absent.py", "the base `mmdet::_base_/absent.py` is not in `mmdet<3.1.0`"),
        ("mmrotate::absent.py", "the base `mmrotate::absent.py` is not in `mmrotate==1.0.0rc1`"),
    ],
)
def test_what_is_no_base_is_one_clear_error(base: str, said: str, tmp_path: Path) -> None:
    configs = tmp_path / "mmrotate-1.0.0rc1" / "configs"
    configs.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: mmrotate\nRequires-Dist: mmdet<3.1.0\n"
    (configs.parent / "METADATA").write_text(metadata, encoding="utf-8")
    (configs / "own.py").write_text(f"_base_ = {base!r}\n", encoding="utf-8")
    asked: list[str] = []

    def fetch(requirement: str) -> Path:
        asked.append(requirement)
        return tmp_path / "mmdet"

    with pytest.raises(ConfigError) as refused:
        Config.fromfile(configs / "own.py", search=bases_of(configs, "mmrotate==1.0.0rc1", fetch))
    assert refused.value.code == "config-base"
    assert said in refused.value.message
    assert set(asked) <= {"mmdet<3.1.0"}


def test_a_range_is_served_by_the_newest_in_the_cache_that_fits(publish: Any, settings: Settings) -> None:
    publish("mmdet-3.0.0", PART)
    publish("mmdet-3.2.0", PART)
    for version in ("3.0.0", "3.2.0", "3.3.0"):
        upstream_configs(f"mmdet=={version}", cache_dir=settings.cache_dir, python=Path(sys.executable))
    found = upstream_configs("mmdet>=3.0,<3.3", cache_dir=settings.cache_dir, is_offline=True)
    assert found.parent.name == "mmdet-3.2.0"
