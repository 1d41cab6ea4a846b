"""What names and small files tell: each finding on a folder that somebody else has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_environment import make_env

from mimctl.checkup.glance import Finding, glance, other_platform
from mimctl.environment.distributions import scan
from mimctl.installer.record import NAME, Record, note_installation, read_record


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the folder of installed packages of an environment where all is well."""
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    put_torch(folder, "2.13.0+cu130", "13.0")
    put(folder, "mimctl", "0.1.0")
    put(folder, "mimctl-det", "0.1.0")
    put(folder, "opencv-python-headless", "4.10")
    put(folder, "mimctl-ops", "0.1.0+cu13", tag="py3-none-manylinux_2_28_x86_64")
    put_build(folder, "cu13", "13.0")
    return folder


def put(folder: Path, name: str, version: str, *, tag: str = "py3-none-any") -> None:
    """Put a distribution's folder there, as an installer does."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")


def remove(folder: Path, name: str) -> None:
    """Take a distribution's folder away."""
    for info in folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
        (info / "WHEEL").unlink()
        info.rmdir()


def put_torch(folder: Path, version: str, cuda: str | None) -> None:
    """Put a torch there, or replace it as pip does."""
    remove(folder, "torch")
    put(folder, "torch", version)
    (folder / "torch").mkdir(exist_ok=True)
    (folder / "torch" / "version.py").write_text(f"__version__ = '{version}'\ncuda = {cuda!r}\nhip = None\n")


def put_build(folder: Path, backend: str, toolkit: str | None, *, max_torch: str | None = None) -> None:
    """Write what the operators say of themselves."""
    package = folder / "mimctl_ops"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "_mimctl_ops.so").touch()
    build = {"backend": backend, "toolkit": toolkit, "min_torch": "2.10", "max_torch": max_torch}
    (package / "build.json").write_text(json.dumps(build))


def found(site: Path, machine: str = "x86_64") -> list[tuple[str, str]]:
    return [(each.code, each.summary) for each in glance([site], environ={}, machine=machine)]


def test_where_all_is_well_nothing_is_found(site):
    assert found(site) == []


def test_operators_of_another_machine_are_found(site):
    reason = "its wheel is for manylinux_2_28_x86_64, this machine is aarch64"
    assert found(site, "aarch64") == [("ops-cannot-load", f"mimctl-ops 0.1.0+cu13 cannot be loaded: {reason}")]


def test_a_torch_for_another_cuda_major_is_found(site):
    put_torch(site, "2.13.0+cu128", "12.8")
    said = "mimctl-ops 0.1.0+cu13 is built for CUDA 13, torch 2.13.0+cu128 for CUDA 12.8"
    assert found(site) == [("ops-build", said)]


@pytest.mark.parametrize(
    ("version", "reason"),
    [("2.9.1", "needs torch >= 2.10, found 2.9.1"), ("2.15.0", "works up to torch 2.14, found 2.15.0")],
)
def test_a_torch_that_the_operators_cannot_be_loaded_into_is_found(site, version, reason):
    put_build(site, "cu13", "13.0", max_torch="2.14")
    put_torch(site, version, "13.0")
    assert found(site) == [("ops-cannot-load", f"mimctl-ops 0.1.0+cu13 cannot be loaded: {reason}")]


def test_a_toolbox_of_another_version_than_the_engine_is_found(site):
    remove(site, "mimctl-det")
    put(site, "mimctl-det", "0.2.0")
    said = "mimctl-det 0.2.0 is not of the engine's version, mimctl 0.1.0"
    assert found(site) == [("version-mismatch", said)]


def test_two_opencvs_are_found(site):
    put(site, "opencv-python", "4.11")
    said = "OpenCV is installed 2 times: opencv-python, opencv-python-headless"
    assert glance([site], environ={}, machine="x86_64") == (
        Finding(name="opencv-python", summary=said, hint="keep one: `mimctl doctor --fix`", code="opencv"),
    )


def noted(site: Path) -> None:
    from dataclasses import replace

    env = make_env()
    note_installation(replace(env, paths=replace(env.paths, purelib=site, search=(site,))))


def test_a_torch_replaced_since_the_last_installation_is_found_until_that_is_noted(site):
    noted(site)
    assert found(site) == []
    put_torch(site, "2.14.0+cu130", "13.0")
    ours = "mimctl 0.1.0, mimctl-det 0.1.0, mimctl-ops 0.1.0+cu13"
    assert found(site) == [("torch-replaced", f"torch is 2.14.0+cu130 now, it was 2.13.0+cu130 when {ours} came")]
    noted(site)
    assert found(site) == []


def test_what_pip_has_removed_since_says_nothing(site):
    noted(site)
    put_torch(site, "2.14.0+cu130", "13.0")
    for name in ("mimctl", "mimctl-det", "mimctl-ops"):
        remove(site, name)
    (site / "mimctl_ops" / "__init__.py").unlink()
    (site / "mimctl_ops" / "build.json").unlink()
    assert found(site) == []
    noted(site)
    assert not (site.parent / NAME).exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "torch": 1}'])
def test_a_record_that_cannot_be_read_is_none(site, text):
    (site.parent / NAME).write_text(text)
    assert read_record([site]) is None
    assert found(site) == []


def test_the_record_holds_torch_and_ours(site):
    noted(site)
    ours = {"mimctl": "0.1.0", "mimctl-det": "0.1.0", "mimctl-ops": "0.1.0+cu13"}
    assert read_record([site]) == Record(torch="2.13.0+cu130", distributions=ours)
    assert set(ours) < set(scan([site]))


@pytest.mark.parametrize(
    ("tags", "machine", "is_other"),
    [
        ([], "x86_64", False),
        (["py3-none-any"], "riscv64", False),
        (["py3-none-manylinux_2_28_x86_64", "py3-none-linux_x86_64"], "x86_64", False),
        (["py3-none-manylinux_2_28_aarch64"], "x86_64", True),
        (["py3-none-macosx_11_0_arm64"], "arm64", False),
        (["py3-none-macosx_11_0_universal2"], "x86_64", False),
        (["py3-none-win_amd64"], "AMD64", False),
        (["py3-none-manylinux_2_28_aarch64"], "arm64", False),
    ],
)
def test_which_machine_a_wheel_is_for(tags, machine, is_other):
    assert (other_platform(tags, machine) is not None) == is_other
