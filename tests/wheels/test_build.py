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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mimctl
from mimctl.errors import MimctlError, UsageError
from mimctl.wheels import build_environment
from mimctl.wheels.audit import audit_wheel
from mimctl.wheels.build import (
    EPOCH_WITHOUT_HISTORY,
    BuildPlace,
    BuiltWheel,
    build_wheels,
    build_with,
    find_compiler,
    source_date_epoch,
    why_not,
)
from mimctl.wheels.matrix import BuildCell, read_matrix
from mimctl.wheels.toolchain import cuda_compiler, cuda_variables, find_nvcc
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


def this_machine(source: Path) -> BuildCell:
    """Return the CPU cell for this machine, promising a C library that is older than any."""
    return replace(cell("ops-cpu-x86_64"), platform=f"manylinux_2_5_{os.uname().machine}", source=source)


def some_operators(folder: Path, *names: str) -> Path:
    """Copy mimctl-ops with the C++ files of a few operators: compiling all of them takes a minute."""
    ignore = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "plugins/ops", folder / "plugins/ops", ignore=ignore)
    for path in (folder / "plugins/ops/csrc").rglob("*.c*"):
        if path.suffix in (".cpp", ".cu") and path.stem not in names:
            path.unlink()
    (folder / "mimctl").mkdir()
    shutil.copyfile(ROOT / "mimctl/__init__.py", folder / "mimctl/__init__.py")
    return folder / "plugins/ops"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltWheel]:
    """Return a compiled wheel of mimctl-ops."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        (built,) = build_with(PYTHON, this_machine(some_operators(folder, "sigmoid_focal_loss")), place=place(folder))
        yield built


@needs_tools
def test_compiled_wheel_serves_every_python_and_says_what_it_is(compiled: BuiltWheel) -> None:
    facts = read_wheel(compiled.path)
    assert facts.filename.startswith(f"mimctl_ops-{mimctl.__version__}+cpu-py3-none-manylinux_2_")
    assert facts.requires_dist == ("torch>=2.10",)
    assert facts.build is not None
    assert facts.build["backend"] == "cpu"
    assert facts.build["min_torch"] == "2.10"
    in_source = json.loads((ROOT / "plugins/ops/mimctl_ops/build.json").read_text(encoding="utf-8"))
    assert facts.build["ops"] == in_source["ops"]


@needs_tools
def test_a_promise_that_the_libraries_do_not_keep_is_said(compiled: BuiltWheel) -> None:
    assert "manylinux_2_5_" not in compiled.path.name
    assert compiled.note is not None
    assert "the matrix promises manylinux_2_5_" in compiled.note


@needs_tools
def test_two_builds_are_equal_byte_for_byte(
    compiled: BuiltWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    old = os.umask(0o077)
    try:
        source = some_operators(tmp_path / "elsewhere" / "deeper", "sigmoid_focal_loss")
        (second,) = build_with(PYTHON, this_machine(source), place=place(tmp_path))
    finally:
        os.umask(old)
    assert second.path.name == compiled.path.name
    assert second.path.read_bytes() == compiled.path.read_bytes()


@needs_tools
def test_a_compiled_wheel_is_loaded(compiled: BuiltWheel, tmp_path: Path) -> None:
    assert loaded_tier(compiled.path, tmp_path) == "compiled cpu\n"


def loaded_tier(wheel: Path, folder: Path) -> str:
    """Return what the operators of a wheel say of themselves in a process of their own."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    code = "import mimctl_ops; s = mimctl_ops.status(); print(s.tier, s.backend)"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


@needs_tools
def test_pure_wheel_comes_from_the_same_sources(tmp_path: Path) -> None:
    facts = read_wheel(build_with(PYTHON, cell("ops-python"), place=place(tmp_path))[0].path)
    assert facts.filename.endswith("-py3-none-any.whl")
    assert facts.requires_dist == ("torch>=2.6",)
    assert facts.build is not None
    assert facts.build["backend"] == "python"


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


def test_a_cuda_cell_waits_until_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = f"ops-cu13-{os.uname().machine}"
    matrix = read_matrix(ROOT / "wheels-matrix.yaml")
    only_cuda = replace(matrix, builds=tuple(each for each in matrix.builds if each.name == ours))
    monkeypatch.setattr("mimctl.wheels.build.find_compiler", lambda: "c++")
    for names in ((), ("mimctl-ops",)):
        (skipped,) = build_wheels(only_cuda, names, place=place(tmp_path)).skipped
        assert skipped.reason == "name it to build it (downloads a 114 MB toolchain, several CPU-minutes)"


def test_cuda_12_needs_a_compiler_of_that_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twelve = cell(f"ops-cu12-{os.uname().machine}")
    monkeypatch.setattr("mimctl.wheels.build.find_compiler", lambda: "c++")
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_not(twelve) == "it needs nvcc of the CUDA toolkit 12.6 (looked at $CUDACXX and on the PATH)"
    fake_nvcc(tmp_path / "nvcc", "13.0")
    assert why_not(twelve) is not None
    fake_nvcc(tmp_path / "elsewhere/nvcc", "12.8")
    monkeypatch.setenv("CUDACXX", str(tmp_path / "elsewhere/nvcc"))
    assert why_not(twelve) is None
    assert find_nvcc("12.6") == tmp_path / "elsewhere/nvcc"


def test_the_compiler_that_is_named_beats_that_of_the_package_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvcc(tmp_path / "nvcc", "13.0")
    monkeypatch.setenv("CUDACXX", str(tmp_path / "nvcc"))
    assert cuda_compiler("13.0", cache_dir=tmp_path, report=print) == tmp_path / "nvcc"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MimctlError) as caught:
        cuda_compiler("14.1", cache_dir=tmp_path, report=print)
    assert caught.value.code == "build-environment"


def test_packages_of_another_layout_are_refused_and_made_anew_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setattr(build_environment, "_run", counted_run(calls := []))
    for attempt in (1, 2):
        with pytest.raises(MimctlError) as caught:
            cuda_compiler("13.0", cache_dir=tmp_path, report=lambda _: None)
        assert "it has no bin/nvcc" in caught.value.causes
        assert len(calls) == 2 * attempt


def test_a_build_is_told_for_which_gpus_it_is() -> None:
    told = cuda_variables(cell("ops-cu13-x86_64"), Path("/x/nvcc"))
    assert told == {
        "CUDACXX": "/x/nvcc",
        "CUDAARCHS": "75-real;80-real;86-real;89-real;90-real;100-real;120-real;120-virtual",
        "MIMCTL_OPS_CUDA_ARCHS": "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX",
        "MIMCTL_OPS_MIN_DRIVER": "580",
    }


@pytest.mark.slow
@needs_tools
@pytest.mark.skipif(find_nvcc("13.0") is None, reason="needs nvcc 13")
def test_cuda_wheels_are_equal_byte_for_byte_and_load_without_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    few = replace(
        cell(f"ops-cu13-{os.uname().machine}"),
        platform=f"manylinux_2_99_{os.uname().machine}",
        archs=("9.0", "12.0"),
        ptx=("12.0",),
        source=some_operators(tmp_path, "sigmoid_focal_loss"),
    )
    nvcc = find_nvcc("13.0")
    first, second = (build_with(PYTHON, few, place=place(tmp_path / name), nvcc=nvcc) for name in ("a", "b"))
    assert [each.version for each in first] == [f"{mimctl.__version__}+cu13", mimctl.__version__]
    assert [each.sha256 for each in first] == [each.sha256 for each in second]
    report = audit_wheel(first[0].path)
    assert (report.archs, report.ptx) == (("9.0", "12.0"), ("12.0",))
    libraries = [zipfile.ZipFile(each.path).read("mimctl_ops/_mimctl_ops.so") for each in first]
    assert libraries[0] == libraries[1], "one library under two names"
    assert loaded_tier(first[0].path, tmp_path) == "compiled cu13\n"


def fake_nvcc(path: Path, release: str) -> None:
    """Write a program that says which toolkit it belongs to."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n")
    path.chmod(0o755)


def test_a_wheel_that_is_not_what_the_matrix_says_is_not_kept(tmp_path: Path) -> None:
    other = replace(cell("ops-python"), target_torch="2.7")
    if importlib.util.find_spec("scikit_build_core") is None:
        pytest.skip("needs scikit-build-core")
    with pytest.raises(MimctlError) as caught:
        build_with(PYTHON, other, place=place(tmp_path))
    assert caught.value.code == "wheel-audit"
    assert caught.value.causes == ("its build.json says min_torch 2.6, the matrix 2.7",)
    assert list((tmp_path / "out").iterdir()) == []


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
