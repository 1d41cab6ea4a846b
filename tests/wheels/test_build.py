"""Building wheels: with the tools of the running interpreter, so that no test downloads anything."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mimctl.errors import MimctlError, UsageError
from mimctl.wheels import build_environment
from mimctl.wheels.build import (
    EPOCH_WITHOUT_HISTORY,
    BuildPlace,
    build_wheels,
    build_with,
    find_compiler,
    source_date_epoch,
)
from mimctl.wheels.matrix import BuildCell, read_matrix
from mimctl.wheels.wheelfile import read_wheel

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)

needs_tools = pytest.mark.skipif(
    find_compiler() is None or importlib.util.find_spec("scikit_build_core") is None,
    reason="needs a C++ compiler and scikit-build-core",
)


def place(folder: Path) -> BuildPlace:
    return BuildPlace(out_dir=folder / "out", cache_dir=folder / "cache", torch_index="http://127.0.0.1:9")


def cell(name: str) -> BuildCell:
    return read_matrix(ROOT / "wheels-matrix.yaml").select([name])[0]


def this_machine() -> BuildCell:
    found = cell("ops-cpu-x86_64")
    return replace(found, platform=f"manylinux_2_99_{os.uname().machine}")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled wheel of mimctl-ops."""
    return build_with(PYTHON, this_machine(), place=place(tmp_path_factory.mktemp("compiled"))).path


@needs_tools
def test_compiled_wheel_serves_every_python_and_says_what_it_is(compiled: Path) -> None:
    facts = read_wheel(compiled)
    assert facts.filename.startswith("mimctl_ops-")
    assert "-py3-none-manylinux_2_" in facts.filename
    assert facts.requires_dist == ("torch>=2.10",)
    assert facts.build is not None
    assert facts.build["backend"] == "cpu"
    assert facts.build["min_torch"] == "2.10"
    assert facts.build["ops"] == ["nms"]


@needs_tools
def test_two_builds_are_equal_byte_for_byte(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "elsewhere" / "deeper"
    ignore = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "plugins/ops", checkout / "plugins/ops", ignore=ignore)
    (checkout / "mimctl").mkdir()
    shutil.copyfile(ROOT / "mimctl/__init__.py", checkout / "mimctl/__init__.py")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(source_date_epoch(ROOT)))
    old = os.umask(0o077)
    try:
        here = replace(this_machine(), source=checkout / "plugins/ops")
        second = build_with(PYTHON, here, place=place(tmp_path)).path
    finally:
        os.umask(old)
    assert second.name == compiled.name
    assert second.read_bytes() == compiled.read_bytes()


@needs_tools
def test_compiled_operators_pass_the_tests_of_the_plugin(compiled: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(compiled) as archive:
        archive.extractall(tmp_path)
    tests = ROOT / "plugins/ops/tests"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    argv += ["-o", f"pythonpath={ROOT / 'tests'} {tmp_path}"]
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    code = "import mimctl_ops; print(mimctl_ops.status().tier == 'compiled')"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n"


@needs_tools
def test_pure_wheel_comes_from_the_same_sources(tmp_path: Path) -> None:
    facts = read_wheel(build_with(PYTHON, cell("ops-python"), place=place(tmp_path)).path)
    assert facts.filename.endswith("-py3-none-any.whl")
    assert facts.requires_dist == ("torch>=2.6",)
    assert facts.build is not None
    assert facts.build["backend"] == "python"


@needs_tools
def test_a_promise_that_the_libraries_do_not_keep_is_said(tmp_path: Path) -> None:
    promised = replace(this_machine(), platform=f"manylinux_2_5_{os.uname().machine}")
    built = build_with(PYTHON, promised, place=place(tmp_path))
    assert "manylinux_2_5_" not in built.path.name
    assert built.note is not None
    assert "the matrix promises manylinux_2_5_" in built.note


def test_a_build_that_fails_shows_the_last_lines_and_leaves_no_wheel(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'no.such.backend'\n")
    broken = replace(cell("mimctl"), source=project)
    with pytest.raises(MimctlError) as caught:
        build_with(PYTHON, broken, place=place(tmp_path))
    assert caught.value.code == "wheel-build"
    assert any("no.such.backend" in cause or "no" in cause for cause in caught.value.causes)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_compiler_the_compiled_cells_are_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    matrix = read_matrix(ROOT / "wheels-matrix.yaml")
    ours = f"ops-cpu-{os.uname().machine}"
    only_compiled = replace(matrix, builds=tuple(each for each in matrix.builds if each.is_compiled))
    report = build_wheels(only_compiled, place=place(tmp_path))
    assert report.wheels == ()
    assert "no C++ compiler" in {each.cell: each.reason for each in report.skipped}[ours]
    with pytest.raises(MimctlError) as caught:
        build_wheels(only_compiled, [ours], place=place(tmp_path))
    assert caught.value.code == "no-compiler"


def test_a_compiler_that_cannot_compile_is_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("c++", "g++", "clang++"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert find_compiler() is None


def test_the_date_of_a_wheel_is_given_or_that_of_the_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_date_epoch(tmp_path) == EPOCH_WITHOUT_HISTORY
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert source_date_epoch(tmp_path) == 1700000000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="yesterday"):
        source_date_epoch(tmp_path)


def test_two_builds_at_a_time_make_one_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_environment, "_PURE", ())
    monkeypatch.setattr(build_environment, "_run", counted_run(calls := []))
    told: list[str] = []
    found: list[Path] = []
    make = lambda: found.append(build_environment.pure_environment(cache_dir=tmp_path, report=told.append))  # noqa: E731
    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert found[0].exists()
    assert len(calls) == 2  # the environment and its packages, once
    assert sum(line.startswith("making") for line in told) == 1
    assert json.loads((found[0].parents[1] / "ready.json").read_text())["torch"] is None


def test_what_an_interrupted_build_left_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_environment, "_PURE", ())
    monkeypatch.setattr(build_environment, "_run", counted_run(calls := []))
    python = build_environment.pure_environment(cache_dir=tmp_path, report=lambda _: None)
    (python.parents[1] / "ready.json").unlink()
    (python.parents[1] / "half").touch()
    assert build_environment.pure_environment(cache_dir=tmp_path, report=lambda _: None) == python
    assert len(calls) == 4
    assert not (python.parents[1] / "half").exists()


def counted_run(calls: list[list[str]]):
    """Return a stand-in for the child processes that makes the interpreter's place only."""

    def run(argv: list[str], *_: object) -> None:
        calls.append(argv)
        if argv[1:3] == ["-m", "venv"]:
            (Path(argv[3]) / "bin").mkdir(parents=True)
            (Path(argv[3]) / "bin/python").touch()

    return run
