"""Packages that follow mim's convention: found by looking alone, and why they cannot work."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from mim_package import install, make_venv, write_package
from tiny_wheels import write_wheel

from mimctl.plugin.mim import BrokenMimPackage, MimPackage, find_package, find_packages
from mimctl.plugin.mim_needs import Surroundings, find_lacks, last_build, read_requirements, read_summary


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A real environment."""
    return make_venv(tmp_path / "venv")


def site_of(python: Path) -> Path:
    return next(python.parent.parent.glob("lib/python3*/site-packages"))


def test_a_package_is_found_whatever_its_distribution_is_called(tmp_path, python):
    install(
        python, write_package(tmp_path / "wheels"), write_package(tmp_path / "wheels", name="mmdet3d", module="mmdet3d")
    )
    found = find_packages([site_of(python)])
    assert [(each.name, each.version, each.module) for each in found] == [
        ("mm-toy-suite", "1.2.0", "mmtoy"),
        ("mmdet3d", "1.2.0", "mmdet3d"),
    ]
    assert find_package("mmtoy", found) is find_package("MM_toy.suite", found) is found[0]
    assert find_package("mmdet", found) is None
    assert read_summary(found[0]) == "A package for tests"


def test_the_list_of_files_tells_whose_a_module_is_where_nothing_else_does(tmp_path, python):
    install(python, write_package(tmp_path))
    (site_of(python) / "mm_toy_suite-1.2.0.dist-info" / "top_level.txt").unlink()
    (found,) = find_packages([site_of(python)])
    assert (found.name, found.module) == ("mm-toy-suite", "mmtoy")


def test_distributions_without_mims_folder_are_none(tmp_path, python):
    install(python, write_wheel(tmp_path, "plain-1.0-py3-none-any.whl"))
    assert find_packages([site_of(python), tmp_path / "nowhere"]) == []


def test_an_editable_installation_has_it_at_the_root_of_its_repository(tmp_path):
    project = tmp_path / "my project"
    (project / "mmtoy").mkdir(parents=True)
    (project / "tools").mkdir()
    (project / "model-index.yml").write_text("Import: []\n")
    info = tmp_path / "site" / "mm_toy_suite-0.9.dist-info"
    info.mkdir(parents=True)
    (info / "top_level.txt").write_text("mmtoy\n")
    (info / "direct_url.json").write_text(json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}}))
    (found,) = find_packages([tmp_path / "site"])
    assert isinstance(found, MimPackage)
    assert (found.name, found.module, found.root, found.is_editable) == ("mm-toy-suite", "mmtoy", project, True)
    (project / "requirements").mkdir()
    (project / "requirements" / "mminstall.txt").write_text("# for mim\nmmcv>=2.0.0\n-r other.txt\n")
    assert read_requirements(found) == ["mmcv>=2.0.0"]


def test_an_editable_project_of_another_kind_is_none(tmp_path):
    (tmp_path / "project" / "other").mkdir(parents=True)
    info = tmp_path / "site" / "other-1.0.dist-info"
    info.mkdir(parents=True)
    url = (tmp_path / "project").as_uri()
    (info / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {"editable": True}}))
    assert find_packages([tmp_path / "site"]) == []


def test_what_cannot_be_used_is_broken_with_the_reason(tmp_path):
    site = tmp_path / "site"
    (site / "left" / ".mim" / "tools").mkdir(parents=True)
    for name in ("hollow", "dangling"):
        (site / f"{name}-1.0.dist-info").mkdir()
        (site / name).mkdir()
    (site / "hollow" / ".mim").mkdir()
    (site / "dangling" / ".mim").symlink_to(tmp_path / "gone")
    found = find_packages([site])
    assert all(isinstance(each, BrokenMimPackage) for each in found)
    reasons = {each.name: each.reason for each in found}
    assert "leads nowhere" in reasons["dangling"]
    assert "is empty" in reasons["hollow"]
    assert "no installed distribution owns" in reasons["left"]


def test_the_first_folder_of_the_import_path_wins(tmp_path):
    for number, version in enumerate(("2.0", "1.0")):
        info = tmp_path / str(number) / f"mmtoy-{version}.dist-info"
        info.mkdir(parents=True)
        (tmp_path / str(number) / "mmtoy" / ".mim" / "tools").mkdir(parents=True)
    (found,) = find_packages([tmp_path / "0", tmp_path / "1"])
    assert found.version == "2.0"


MMDET = [
    "mmcv <2.2.0,>=2.0.0rc4 ; extra == 'mim'",
    "mmengine <1.0.0,>=0.7.1 ; extra == 'mim'",
    "scipy",
    "x; extra == 'tests'",
]


def reasons(requirements=MMDET, *, python="3.11", torch="2.13.0+cpu", paths=(), **installed):
    named = {name.replace("_", "-"): version for name, version in installed.items()}
    place = Surroundings(installed=named, python=python, torch=torch, paths=paths)
    return [each.reason for each in find_lacks(requirements, place)]


def test_a_library_that_was_never_built_for_this_torch_is_named_with_the_last_that_was():
    assert reasons(mmengine="0.10.7", scipy="1.17") == [
        "needs mmcv<2.2.0,>=2.0.0rc4, which is not installed; it has no build for torch 2.13.0+cpu and Python 3.11 "
        "(the last is for torch 2.1, Python 3.11)"
    ]
    assert "the last is for torch 2.4" in reasons(["mmcv>=2.0"])[0]
    assert "no build for torch 2.1.2 and Python 3.12" in reasons(["mmcv>=2.0,<2.2"], torch="2.1.2", python="3.12")[0]


def test_where_a_build_exists_only_its_absence_is_told():
    assert reasons(["mmcv>=2.0,<2.2"], torch="2.1.2+cu121") == ["needs mmcv<2.2,>=2.0, which is not installed"]
    assert reasons(["mmcv>=2.0"], torch=None) == ["needs mmcv>=2.0, which is not installed"]


def test_versions_extras_and_markers_count():
    assert reasons(mmcv="2.1.0", mmengine="1.1.0", scipy="1.17") == ["needs mmengine<1.0.0,>=0.7.1, 1.1.0 is installed"]
    assert reasons(mmcv="2.1.0", mmengine="0.10.7", scipy="1") == []
    assert reasons(['old; python_version < "3.9"', "not a requirement!"]) == []


def test_mmcv_without_its_operators_or_for_another_python_is_no_mmcv(tmp_path):
    package = tmp_path / "mmcv"
    package.mkdir()
    (package / "__init__.py").write_text("")
    wanted = ["mmcv>=2.0"]
    assert reasons(wanted, mmcv="2.1.0", paths=[tmp_path]) == ["mmcv 2.1.0 is installed without its compiled operators"]
    (package / "_ext.cpython-310-x86_64-linux-gnu.so").write_bytes(b"")
    assert reasons(wanted, mmcv="2.1.0", paths=[tmp_path]) == ["mmcv 2.1.0 was built for Python 3.10, this is 3.11"]
    (package / "_ext.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    assert reasons(wanted, mmcv="2.1.0", paths=[tmp_path]) == []
    assert reasons(wanted, paths=[tmp_path]) == [], "a checkout that was built in place"
    assert "mmcv-lite has no operators" in reasons(wanted, mmcv_lite="2.1.0", paths=[tmp_path])[0]


def test_what_can_be_imported_without_any_metadata_is_there(tmp_path):
    assert reasons(["mmengine>=0.7"], paths=[tmp_path]) == ["needs mmengine>=0.7, which is not installed"]
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine" / "__init__.py").write_text("")
    assert reasons(["mmengine>=0.7"], paths=[tmp_path]) == []
    assert reasons(["opencv-python"], opencv_python_headless="4.13") == []
    assert reasons(["opencv-python"]) == ["needs opencv-python, which is not installed"]


def test_the_newest_build_that_a_requirement_allows_is_known():
    place = Surroundings(installed={}, python="3.11", torch=None)
    (strict, loose) = find_lacks(["mmcv<2.2", "mmcv"], place)
    assert [last_build(each).version for each in (strict, loose)] == ["2.1.0", "2.2.0"]
    (other,) = find_lacks(["numpy"], place)
    assert last_build(other) is None


SETUP = "from setuptools import setup\nsetup(name='mm-edit-suite', version='0.3', packages=['mmedit'])\n"


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "my repository"
    for name, text in {
        "setup.py": SETUP,
        "mmedit/__init__.py": "",
        "model-index.yml": "Import: []\n",
        "tools/train.py": "",
        "requirements/mminstall.txt": "mmcv>=2.0.0\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_real_editable_installation_is_found(tmp_path, python, repository):
    found = importlib.util.find_spec("setuptools")  # importing it would put its distutils in the place of Python's
    if found is None or found.origin is None:
        pytest.skip("setuptools is not installed")
    site = site_of(python)
    (site / "build.pth").write_text(f"{Path(found.origin).parents[1]}\n")
    install(python, "--no-build-isolation", "-e", repository)
    (found,) = find_packages([site])
    assert isinstance(found, MimPackage)
    assert (found.name, found.version, found.module) == ("mm-edit-suite", "0.3", "mmedit")
    assert (found.root, found.is_editable) == (repository, True)
    assert read_requirements(found) == ["mmcv>=2.0.0"]


def test_what_setup_py_develop_left_is_found(tmp_path, repository):
    site = tmp_path / "site"
    site.mkdir()
    (site / "mm-edit-suite.egg-link").write_text(f"{repository}\n.")
    info = repository / "mm_edit_suite.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: mm-edit-suite\nVersion: 0.3\nSummary: edits\n\nText\n")
    (info / "top_level.txt").write_text("mmedit\n")
    (found,) = find_packages([site])
    assert (found.name, found.version, found.module, found.root) == ("mm-edit-suite", "0.3", "mmedit", repository)
    assert read_summary(found) == "edits"
