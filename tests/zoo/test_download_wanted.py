"""What else `download` brings: bases, logs, what lies in the cache alone; and several models of which one fails."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config
from mimctl.config.beside import config_for_checkpoint, is_downloaded
from mimctl.errors import MimctlError, NetworkError, render
from mimctl.index.client import IndexClient
from mimctl.settings import Settings
from mimctl.zoo.config_tree import stub_of, write_tree
from mimctl.zoo.download import Downloaded, ModelsFailedError, Wanted, download_models
from mimctl.zoo.mirrors import ANY_HOST
from mimctl.zoo.upstream import upstream_configs

LOG = b'{"loss": 1.5}\n' * 100


@pytest.fixture
def change_model(index_dir: Path) -> Callable[..., None]:
    """Return a function that changes a model of the index."""

    def change(number: int, **values: Any) -> None:
        path = index_dir / "zoo" / "det.json"
        zoo = json.loads(path.read_text(encoding="utf-8"))
        zoo["models"][number] |= values
        path.write_text(json.dumps(zoo), encoding="utf-8")

    return change


@pytest.fixture
def fetch(
    index_dir: Path, settings: Settings, mirror: Any, package_index: Path, tmp_path: Path, facts: Any
) -> Callable[..., Any]:
    """Return a function that downloads models into `dest`, by the mirror, with the weights of `rtmdet_s` there."""
    mirror.put(facts.path, facts.weights)

    def run(*names: str, **options: Any) -> list[Downloaded]:
        used = options.pop("settings", settings)
        used = dataclasses.replace(used, offline=used.offline or options.get("from_cache", False))
        return download_models(
            "det",
            names or ["rtmdet_s"],
            index=IndexClient([str(index_dir)], cache_dir=settings.cache_dir),
            wanted=Wanted(**{key: options.pop(key) for key in ("bases", "log", "from_cache") if key in options}),
            **{"dest": tmp_path / "dest", "mirrors": {ANY_HOST: mirror.address}, "settings": used, **options},
        )

    return run


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_config_comes_with_its_bases(fetch: Any, settings: Settings, facts: Any, tmp_path: Path) -> None:
    found = fetch(bases=True)[0]
    assert names_in(tmp_path / "dest") == [
        "configs/_base_/runtime.py",
        "configs/rtmdet/rtmdet_l_8xb32-300e_coco.py",
        f"configs/rtmdet/{facts.stem}.py",
        f"{facts.stem}.py",
        facts.filename,
    ]
    root = upstream_configs("mmdet==3.3.0", cache_dir=settings.cache_dir)
    published = Config.fromfile(root / "rtmdet" / f"{facts.stem}.py")
    shutil.rmtree(settings.cache_dir)
    moved = (tmp_path / "dest").rename(tmp_path / "elsewhere")
    beside = config_for_checkpoint(moved / facts.filename)
    assert beside is not None
    assert beside.path == moved / f"{facts.stem}.py"
    assert Config.fromfile(beside.path) == published
    assert Config.fromfile(moved / "configs" / "rtmdet" / f"{facts.stem}.py") == published
    assert [path.name for path in found.bases] == ["runtime.py", "rtmdet_l_8xb32-300e_coco.py", f"{facts.stem}.py"]


def test_a_base_that_was_edited_is_kept_and_counts(fetch: Any, tmp_path: Path) -> None:
    found = fetch(bases=True)[0]
    assert not fetch(bases=True)[0].is_new
    base = tmp_path / "dest" / "configs" / "rtmdet" / "rtmdet_l_8xb32-300e_coco.py"
    base.write_text(base.read_text(encoding="utf-8").replace("(640, 640)", "(32, 32)"), encoding="utf-8")
    notes: list[str] = []
    again = fetch(bases=True, note=notes.append)[0]
    assert (again.is_new, notes) == (False, [f"kept `{base}`: it was edited, or another tool wrote it"])
    assert Config.fromfile(found.config).scale == (32, 32)


def test_flattened_and_with_bases_take_each_others_place(fetch: Any) -> None:
    flat = fetch()[0].config.read_text(encoding="utf-8")
    built = fetch(bases=True)[0]
    assert "_base_ = './configs/rtmdet/" in built.config.read_text(encoding="utf-8")
    assert fetch()[0].config.read_text(encoding="utf-8") == flat


def test_a_config_of_ours_that_imports_code_wants_trust_with_its_bases(fetch: Any, own_configs: Path) -> None:
    base = own_configs / "rtmdet" / "base.py"
    base.write_text("custom_imports = dict(imports=['evil'])\nmodel = dict(type='X')\n", encoding="utf-8")
    (own_configs / "rtmdet" / "rtmdet_nano.py").write_text("_base_ = './base.py'\n", encoding="utf-8")
    own_configs = own_configs.rename(own_configs.with_name("configs"))
    found = fetch("rtmdet_nano", bases=True, configs_dir=own_configs)[0]
    located = config_for_checkpoint(found.checkpoint)
    assert located is not None
    assert (found.needs_trust, located.needs_trust, found.config_source) == (True, True, "mimctl")
    assert all(is_downloaded(path) for path in found.bases)


def test_bases_of_other_packages_load_from_the_copy(tmp_path: Path) -> None:
    for path, text in {
        "mmdet/.mim/configs/one.py": "_base_ = ['./_base_/run.yaml', 'mmpretrain::two.py']\nb = 2\n",
        "mmdet/.mim/configs/_base_/run.yaml": "a: 1\n",
        "mmpretrain/.mim/configs/two.py": "_base_ = '_base_/three.json'\nc = 3\n",
        "mmpretrain/.mim/configs/_base_/three.json": '{"d": 4}',
    }.items():
        (tmp_path / "lib" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / path).write_text(text, encoding="utf-8")
    config = Config.fromfile(tmp_path / "lib" / "mmdet/.mim/configs/one.py")
    tree = write_tree(config, tmp_path / "copy", source="mmdet==3.3.0", by="mimctl")
    assert tree is not None
    shutil.rmtree(tmp_path / "lib")
    assert Config.fromfile(tree.main) == config
    assert len(tree.files) == 4
    stub = tmp_path / "copy" / "stub.py"
    stub.write_text(stub_of(tree.main, tmp_path / "copy") or "", encoding="utf-8")
    assert Config.fromfile(stub) == config


def test_configs_of_a_folder_of_any_name_load_from_the_copy(fetch: Any, own_configs: Path) -> None:
    (own_configs / "_base_").mkdir()
    (own_configs / "_base_" / "run.py").write_text("model = dict(type='X')\n", encoding="utf-8")
    (own_configs / "rtmdet" / "rtmdet_nano.py").write_text("_base_ = '../_base_/run.py'\nb = 1\n", encoding="utf-8")
    found = fetch("rtmdet_nano", bases=True, configs_dir=own_configs)[0]
    published = Config.fromfile(own_configs / "rtmdet" / "rtmdet_nano.py")
    shutil.rmtree(own_configs)
    assert Config.fromfile(found.config) == published


@pytest.mark.parametrize(("name", "has_stub"), [("model_a.py", True), ("model-a.py", False)])
def test_configs_of_the_pure_python_style_are_built_on_by_import(tmp_path: Path, name: str, has_stub: bool) -> None:
    configs = tmp_path / "lib" / "mmdet" / "configs"
    (configs / "_base_").mkdir(parents=True)
    (configs / "_base_" / "run.py").write_text("a = 1\n", encoding="utf-8")
    text = "from mmengine.config import read_base\nwith read_base():\n    from ._base_.run import *\nb = 2\n"
    (configs / name).write_text(text, encoding="utf-8")
    config = Config.fromfile(configs / name)
    tree = write_tree(config, tmp_path / "copy", source="mmdet==3.3.0", by="mimctl")
    assert tree is not None
    shutil.rmtree(tmp_path / "lib")
    assert Config.fromfile(tree.main) == config
    stub = stub_of(tree.main, tmp_path / "copy")
    assert (stub is not None) == has_stub
    if stub is not None:
        (tmp_path / "copy" / "stub.py").write_text(stub, encoding="utf-8")
        assert Config.fromfile(tmp_path / "copy" / "stub.py") == config


def test_the_log_of_the_training_lies_beside(
    fetch: Any, change_model: Any, mirror: Any, tmp_path: Path, settings: Settings
) -> None:
    change_model(0, log={"url": "http://localhost:9/v3/run_20220905_161602.log.json"})
    mirror.put("v3/run_20220905_161602.log.json", LOG)
    notes: list[str] = []
    found = fetch(log=True, note=notes.append)[0]
    assert found.log == tmp_path / "dest" / "run_20220905_161602.log.json"
    assert found.log.read_bytes() == LOG
    assert any("run_20220905_161602.log.json`: not checked" in note for note in notes)
    again = fetch(log=True, settings=dataclasses.replace(settings, offline=True))[0]
    assert (again.log, again.is_new) == (found.log, False)
    assert fetch()[0].log is None


def test_a_model_without_a_log_says_so(fetch: Any) -> None:
    notes: list[str] = []
    assert fetch(log=True, note=notes.append)[0].log is None
    assert any(note.startswith("no log of `rtmdet_s_8xb32-300e_coco` was published") for note in notes)


def test_weights_without_any_hash_say_so(fetch: Any, change_model: Any, mirror: Any, facts: Any) -> None:
    change_model(0, weights={"url": "http://localhost:9/plain.pth"})
    mirror.put("plain.pth", facts.weights)
    notes: list[str] = []
    assert fetch(note=notes.append)[0].check == "none"
    assert "`plain.pth`: not checked (nothing says what its hash should be)" in notes


def test_from_the_cache_alone_names_all_that_is_missing_and_asks_nobody(
    fetch: Any, mirror: Any, facts: Any, own_configs: Path, tmp_path: Path
) -> None:
    disk = {ANY_HOST: mirror.folder.as_uri()}
    with pytest.raises(NetworkError) as caught:
        fetch("rtmdet_s", "rtmdet_nano", from_cache=True, configs_dir=own_configs, mirrors=disk)
    assert (caught.value.code, caught.value.exit_code) == ("not-in-cache", 4)
    shown = render(caught.value)
    assert f"{facts.stem}: `{facts.filename}`" in shown
    assert f"{facts.stem}: its config, out of `mmdet==3.3.0`" in shown
    assert "rtmdet_nano: `rtmdet_nano-" in shown
    assert (mirror.requests, list(tmp_path.glob("dest/*"))) == ([], [])


def test_from_the_cache_alone_serves_what_lies_there(fetch: Any, mirror: Any, tmp_path: Path, facts: Any) -> None:
    fetch()
    mirror.requests.clear()
    found = fetch(from_cache=True, bases=True, dest=tmp_path / "other")[0]
    assert found.checkpoint.read_bytes() == facts.weights
    assert mirror.requests == []


def test_a_config_in_the_index_serves_again_offline(
    mirror: Any, settings: Settings, index_dir: Path, change_model: Any, tmp_path: Path
) -> None:
    change_model(1, config_file="zoo/files/nano.py", config=None)
    (index_dir / "zoo" / "files" / "nano.py").write_text("model = dict(type='RTMDet', nano=True)\n", encoding="utf-8")
    shutil.copytree(index_dir, mirror.folder, dirs_exist_ok=True)
    for used in (settings, dataclasses.replace(settings, offline=True)):
        index = IndexClient([mirror.address], cache_dir=used.cache_dir, offline=used.offline)
        found = download_models("det", ["rtmdet_nano"], dest=tmp_path / "d", index=index, settings=used)[0]
        assert Config.fromfile(found.config).model.nano is True
        shutil.rmtree(tmp_path / "d")


def test_one_that_fails_does_not_keep_the_others(
    fetch: Any, change_model: Any, own_configs: Path, facts: Any, tmp_path: Path
) -> None:
    change_model(2, weights={"url": "http://localhost:9/gone-01234567.pth"}, config="rtmdet/rtmdet_nano.py")
    notes: list[str] = []
    with pytest.raises(ModelsFailedError) as caught:
        fetch("rtmdet_s", "tracker", "rtmdet_nano", configs_dir=own_configs, note=notes.append)
    problem = caught.value
    assert [each.name for each in problem.done] == [facts.stem, "rtmdet_nano"]
    assert [each.checkpoint.is_file() for each in problem.done] == [True, True]
    assert (problem.code, problem.exit_code) == ("models-failed", 4)
    shown = render(problem)
    assert shown.startswith("error[models-failed]: 1 of 3 models could not be fetched\n  cause: tracker: cannot fetch")
    assert problem.details["failed"]["tracker"]["code"] == "network"
    assert any(note.startswith("tracker: cannot fetch") for note in notes)
    with pytest.raises(MimctlError) as caught:
        fetch("tracker", configs_dir=own_configs)
    assert caught.value.code == "network"
