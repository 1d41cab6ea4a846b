"""Which tier serves, and that an unusable library is never silent. Each case runs in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mimctl_ops

COMPILED = mimctl_ops.build_info().loaded
USE = """
import torch, mimctl_ops
print(mimctl_ops.nms(torch.eye(4), torch.ones(4), 0.5).tolist(), mimctl_ops.build_info().loaded)
"""


def run(folder: Path, code: str = USE, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package under test."""
    source = Path(mimctl_ops.__file__).parent
    shutil.copytree(source, tmp_path / "mimctl_ops", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def pretend_library(package: Path, source: str, *flags: str) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    target = package / "mimctl_ops" / "_mimctl_ops.so"
    target.unlink(missing_ok=True)
    argv = [compiler, "-shared", "-fPIC", "-o", str(target), *flags, "-x", "c++", "-"]
    subprocess.run(argv, input=source, text=True, check=True)


def test_build_info_names_the_build() -> None:
    info = mimctl_ops.build_info()
    assert info.ops == ("nms",)
    assert info.load_error is None
    if COMPILED:
        assert info.backend == "cpu"
        assert info.min_torch == "2.10"
        assert info.torch_headers is not None
        assert info.compiler is not None
        assert info.library is not None
        assert info.library.is_file()
    else:
        assert info.backend == "python"
        assert info.library is None


def test_a_library_with_a_missing_symbol_warns_with_its_name_and_falls_back(package: Path) -> None:
    pretend_library(package, "extern int torch_from_the_future(); int here = torch_from_the_future();")
    done = run(package)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 1, 2, 3] False\n"
    assert "OpsLoadWarning" in done.stderr
    assert "symbol `_Z21torch_from_the_futurev` is missing from the installed torch" in done.stderr
    assert "mimctl install" in done.stderr


def test_a_library_that_needs_an_absent_library_warns_with_its_name(package: Path, tmp_path: Path) -> None:
    pretend_library(package, "int x;")
    absent = tmp_path / "libabsent.so.7"
    library = package / "mimctl_ops" / "_mimctl_ops.so"
    library.rename(absent)
    pretend_library(package, "int y;", "-Wl,--no-as-needed", str(absent), "-Wl,-soname,x")
    absent.unlink()
    done = run(package)
    assert done.returncode == 0, done.stderr
    assert "libabsent.so.7` is missing" in done.stderr


def test_a_damaged_library_warns(package: Path) -> None:
    (package / "mimctl_ops" / "_mimctl_ops.so").write_bytes(b"no library at all")
    done = run(package)
    assert done.stdout == "[0, 1, 2, 3] False\n"
    assert "OpsLoadWarning" in done.stderr
    assert "invalid ELF header" in done.stderr or "file too short" in done.stderr


def test_without_a_library_nothing_is_said(package: Path) -> None:
    (package / "mimctl_ops" / "_mimctl_ops.so").unlink(missing_ok=True)
    done = run(package)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 2, 3] False\n", "")
