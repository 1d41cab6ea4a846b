"""The installed mimctl-ops is read from its files, and what of it would serve is judged without loading anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl.environment.detect import detect
from mimctl.environment.distributions import scan
from mimctl.environment.ops import find_ops, judge_tier
from mimctl.environment.torch import parse_version_file

CPU = {"backend": "cpu", "min_torch": "2.10", "max_torch": None, "toolkit": None, "archs": [], "ptx": []}
CUDA = {**CPU, "backend": "cu13", "toolkit": "13.0", "min_driver": "580", "archs": ["9.0"], "ptx": ["12.0"]}
PURE = {**CPU, "backend": "python", "min_torch": "2.6"}


def install_ops(site: Path, build: object = CPU, *, version: str | None = "0.1.0+cpu", library: bool = True) -> None:
    package = site / "mimctl_ops"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nobody may import this')\n")
    if build is not None:
        (package / "build.json").write_text(build if isinstance(build, str) else json.dumps(build))
    if library:
        (package / "_mimctl_ops.so").write_bytes(b"\x7fELF")
    if version:
        (site / f"mimctl_ops-{version}.dist-info").mkdir()


def torch_of(version: str | None):
    return parse_version_file(f"__version__ = '{version}'\n") if version else None


def found(site: Path, **environ: str):
    return find_ops([site], scan([site]).get("mimctl-ops"), environ)


def test_the_build_is_read_with_its_source(tmp_path):
    install_ops(tmp_path, CUDA, version="0.1.0+cu13")
    fact = found(tmp_path)
    ops = fact.value
    assert fact.source == str(tmp_path / "mimctl_ops/build.json")
    assert (ops.version, ops.backend, ops.toolkit, ops.min_torch) == ("0.1.0+cu13", "cu13", "13.0", "2.10")
    assert (ops.min_driver, ops.archs, ops.ptx) == ("580", ("9.0",), ("12.0",))
    assert ops.library == tmp_path / "mimctl_ops/_mimctl_ops.so"
    assert ops.asked is None


def test_no_package_and_a_distribution_without_its_package_differ(tmp_path):
    assert found(tmp_path).source == "no mimctl_ops on the module search path"
    (tmp_path / "mimctl_ops-0.1.0.dist-info").mkdir()
    assert found(tmp_path).value is None
    assert found(tmp_path).source.endswith("mimctl_ops-0.1.0.dist-info names it, its package is not there")


# name: (build, torch, has it a library, MIMCTL_OPS, tier, source)
TIERS = {
    "compiled": (CPU, "2.13.0+cpu", True, "", "compiled", "torch 2.13.0+cpu >= 2.10, _mimctl_ops.so is there"),
    "compiled, at its oldest torch": (CPU, "2.10.0", True, "", "compiled", "torch 2.10.0 >= 2.10"),
    "a later torch": (CPU, "2.16.0a0+git1", True, "", "compiled", "torch 2.16.0a0+git1 >= 2.10"),
    "torch too old": (CPU, "2.9.1", True, "", "failed", "needs torch >= 2.10, found 2.9.1"),
    "torch 2.9 is not 2.10's successor": (CUDA, "2.9.0+cu130", True, "", "failed", "needs torch >= 2.10"),
    "torch too new": ({**CPU, "max_torch": "2.15"}, "2.16.0", True, "", "failed", "works up to torch 2.15"),
    "a patch of the newest": ({**CPU, "max_torch": "2.15"}, "2.15.3", True, "", "compiled", "torch 2.15.3"),
    "no torch": (CPU, None, True, "", "failed", "torch is not installed"),
    "the library is gone": (CPU, "2.13.0", False, "", "failed", "_mimctl_ops.so is missing"),
    "the pure build": (PURE, "2.13.0", False, "", "python", "the build has no library"),
    "the pure build on an old torch": (PURE, "2.5.1", False, "", "failed", "needs torch >= 2.6, found 2.5.1"),
    "pure PyTorch by request": (CPU, "2.13.0", True, "python", "python", "MIMCTL_OPS"),
    "by request on an old torch": (CPU, "2.9.1", True, "python", "python", "MIMCTL_OPS"),
    "a wish that is none": (CPU, "2.13.0", True, "fast", "failed", "MIMCTL_OPS is `fast`"),
    "no build.json": (None, "2.13.0", True, "", "failed", "build.json cannot be read"),
    "a broken build.json": ("{", "2.13.0", True, "", "failed", "build.json cannot be read"),
    "a build.json that is a list": ("[]", "2.13.0", True, "", "failed", "build.json cannot be read"),
    "a build.json of wrong types": ('{"backend": 3}', "2.13.0", True, "", "failed", "build.json cannot be read"),
}


@pytest.mark.parametrize("name", TIERS)
def test_tiers(tmp_path, name):
    build, torch, library, wish, tier, source = TIERS[name]
    install_ops(tmp_path, build, library=library)
    fact = judge_tier(found(tmp_path, MIMCTL_OPS=wish).value, torch_of(torch))
    assert fact.value == tier
    assert source in fact.source


def test_what_is_not_installed_has_no_tier():
    assert judge_tier(None, torch_of("2.13.0")).value is None


def test_another_environment_is_told_of_its_ops(tmp_path):
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    install_ops(site, CUDA, version="0.1.0+cu13")
    (site / "torch").mkdir()
    (site / "torch/version.py").write_text("__version__ = '2.9.1+cu130'\ncuda = '13.0'\n")
    env = detect(folder, environ={"MIMCTL_DRIVER": "none"})
    assert env.ops.value.version == "0.1.0+cu13"
    assert (env.ops_tier.value, env.ops_tier.source) == ("failed", "needs torch >= 2.10, found 2.9.1+cu130")
