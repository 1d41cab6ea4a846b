"""Bases of other toolboxes: `package::path` among the configs of packages that nobody imports."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mimctl.config import Config
from mimctl.config.files.packages import find_in_packages
from mimctl.errors import ConfigError

Put = Callable[[str, str], Path]

CHILD = "_base_ = 'mmdet::_base_/a.py'\nmodel = dict(extra=1)"
BASE = "model = dict(type='M')"
RAISES = "raise SystemExit('imported')"


@pytest.mark.parametrize("folder", ["mmdet/.mim/configs", "mmdet/configs"])
def test_a_base_is_found_in_an_installed_package(
    folder: str, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("site/mmdet/__init__.py", RAISES)
    put(f"site/{folder}/_base_/a.py", BASE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    config = Config.fromfile(put("child.py", CHILD))
    assert config.model == {"type": "M", "_scope_": "mmdet", "extra": 1}
    assert "mmdet" not in sys.modules


def test_a_base_is_found_in_the_repository_that_a_package_is_used_from(put: Put, tmp_path: Path) -> None:
    put("repository/setup.py", RAISES)
    put("repository/mmdet/__init__.py", RAISES)
    wanted = put("repository/configs/_base_/a.py", BASE)
    assert find_in_packages("mmdet::_base_/a.py", [tmp_path / "repository"]) == wanted


def test_a_config_in_an_unpacked_wheel_finds_what_is_beside_it(put: Put, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr("mmdet/.mim/configs/_base_/a.py", BASE)
        wheel.writestr("mmpose/.mim/configs/deep/child.py", CHILD)
        wheel.extractall(tmp_path / "unpacked")
    config = Config.fromfile(tmp_path / "unpacked/mmpose/.mim/configs/deep/child.py")
    assert config.model.extra == 1


@pytest.mark.parametrize(
    ("written", "package"),
    [("mmcls", "mmpretrain"), ("mmsegmentation", "mmseg"), ("det", "mimctl_det"), ("mmdet", "mimctl_det")],
)
def test_a_package_is_found_under_the_name_that_it_has_now(
    written: str, package: str, put: Put, tmp_path: Path
) -> None:
    wanted = put(f"site/{package}/configs/a.py", BASE)
    assert find_in_packages(f"{written}::a.py", [tmp_path / "site"]) == wanted


def test_the_first_folder_on_the_path_wins(put: Put, tmp_path: Path) -> None:
    put("second/mmdet/.mim/configs/a.py", BASE)
    wanted = put("first/mmdet/.mim/configs/a.py", BASE)
    assert find_in_packages("mmdet::a.py", [tmp_path / "first", tmp_path / "second"]) == wanted


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("mmdet::_base_/b.py", "the configs of `mmdet` have no", "did you mean `mmdet::_base_/a.py`?"),
        ("mmnone::a.py", "another toolbox, which is not installed", "install it: `mimctl install mmnone`"),
        ("mmdet::../../secret.py", "is no base", "write"),
        ("mmdet::/etc/passwd", "is no base", "write"),
        ("../mmdet::a.py", "is no base", "write"),
        ("mmdet::", "is no base", "write"),
    ],
)
def test_a_base_that_is_not_there_is_an_error(
    reference: str, message: str, hint: str, put: Put, tmp_path: Path
) -> None:
    put("mmdet/.mim/configs/_base_/a.py", BASE)
    put("mmdet/secret.py", "a = 1")
    with pytest.raises(ConfigError, match=message) as caught:
        find_in_packages(reference, [tmp_path])
    assert caught.value.code == "config-base"
    assert caught.value.hints[0].startswith(hint)


def test_a_missing_base_names_the_line_that_asks_for_it(put: Put) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(put("child.py", "a = 1\n_base_ = 'mmnone::a.py'"))
    assert str(caught.value.origin).endswith("child.py:2")


def test_a_pure_python_base_is_found_by_its_module(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("site/mmdet/__init__.py", RAISES)
    put("site/mmdet/.mim/configs/_base_/a.py", "_base_ = []\nmodel = dict(type='classic')")
    put("site/mmdet/configs/_base_/a.py", "from mmdet.models import M\nmodel = dict(type=M)")
    monkeypatch.syspath_prepend(tmp_path / "site")
    text = "from mmengine.config import read_base\nwith read_base():\n    from mmdet.configs._base_.a import *\n"
    assert str(Config.fromfile(put("mine/child.py", text)).model.type) == "mmdet.models.M"
