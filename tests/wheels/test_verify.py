"""Verifying wheels: real environments and the real pytest, a torch that only looks like one; nothing downloaded."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_wheels import write_wheel
from verified_page import run_cli, table_of

from mimctl.errors import MimctlError
from mimctl.wheels.interpreters import find_interpreter
from mimctl.wheels.matrix import read_matrix
from mimctl.wheels.verify import VerifyPlace, summarise_skipped, tools_of_tests, verify_wheels

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
MATRIX = f"""\
schema_version: 1
projects: {{my-ops: project}}
builds:
  - {{name: pure, project: my-ops, platform: any, backend: python, runner: x}}
  - {{name: cuda, project: my-ops, platform: any, backend: cu13, runner: x}}
  - {{name: vax, project: my-ops, platform: manylinux_2_28_vax, backend: cpu, torch_headers: "2.13.0", runner: x}}
verify:
  - {{build: pure, torch: ["2.13.0", "2.12.0"], python: ["{HERE}"], runner: x}}
  - {{build: pure, torch: ["2.13.0"], python: ["3.99"], runner: x}}
  - {{build: cuda, torch: ["2.13.0"], torch_build: cu130, python: ["{HERE}"], runner: x}}
  - {{build: vax, torch: ["2.13.0"], python: ["{HERE}"], runner: x}}
"""
CELL, OLDER = f"pure-torch2.13.0-py{HERE}", f"pure-torch2.12.0-py{HERE}"
PYPROJECT = '[dependency-groups]\ntest = ["pytest"]\n'
TEST = """\
import my_ops
import pytest


def test_the_package_is_that_of_the_wheel():
    assert my_ops.origin == "wheel"


def test_something_that_needs_a_gpu():
    pytest.skip("no GPU")
"""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A project with a matrix, its wheels, and a cache that all tests share."""

    folder: Path
    place: VerifyPlace
    told: list[str]

    def verify(self, *names: str):
        """Verify cells of the matrix."""
        return verify_wheels(read_matrix(self.folder / "wheels-matrix.yaml"), names, place=self.place)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give pip a folder with the pytest that runs here and two releases of torch, and nothing else."""
    folder = tmp_path_factory.mktemp("shelf")
    for name in ("pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        pack_installed(name, folder)
    for version in ("2.13.0+cpu", "2.12.0"):
        init = f"__version__ = '{version}'\nfrom torch import version\n".encode()
        extra = {"torch/__init__.py": init, "torch/version.py": b"cuda = None\n"}
        write_wheel(folder, f"torch-{version}-py3-none-any.whl", extra=extra)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
            patch.delenv(variable, raising=False)
        yield folder


def pack_installed(name: str, folder: Path) -> None:
    """Write a wheel of a pure-Python distribution that is installed here."""
    found = importlib.metadata.distribution(name)
    files = [each for each in found.files or () if ".." not in each.parts and each.suffix != ".pyc"]
    info = next(each.parts[0] for each in files if each.parts[0].endswith(".dist-info"))
    wheel = folder / f"{info.removesuffix('.dist-info').replace('Pygments', 'pygments')}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for each in files:
            if each.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                archive.write(each.locate(), str(each))
        archive.writestr(f"{info}/RECORD", "".join(f"{each},,\n" for each in archive.namelist()))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bench(tmp_path: Path, shelf: Path, cache: Path) -> Bench:
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "my_ops").mkdir()
    (project / "my_ops/__init__.py").write_text("origin = 'source tree'\n")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "tests/test_ops.py").write_text(TEST)
    (tmp_path / "wheels-matrix.yaml").write_text(MATRIX)
    extra = {"my_ops/__init__.py": b"origin = 'wheel'\n"}
    for backend, version in (("python", "1.0"), ("cu13", "1.0+cu13")):
        name = f"my_ops-{version}-py3-none-any.whl"
        write_wheel(tmp_path / "wheels", name, build={"backend": backend}, extra=extra)
    told: list[str] = []
    place = VerifyPlace(
        wheels=tmp_path / "wheels", cache_dir=cache, torch_index="http://127.0.0.1:9/whl", report=told.append
    )
    return Bench(folder=tmp_path, place=place, told=told)


def test_what_is_at_hand_is_verified_and_the_rest_skipped_with_a_reason(bench: Bench) -> None:
    results = {each.cell: each for each in bench.verify()}
    done = results.pop(CELL)
    assert (done.outcome, done.passed, done.failed, done.skipped) == ("passed", 1, 0, 1), done
    assert (done.torch, done.wheel) == ("2.13.0+cpu", bench.folder / "wheels/my_ops-1.0-py3-none-any.whl")
    assert done.python is not None
    assert done.python.startswith(HERE)
    assert {cell: each.outcome for cell, each in results.items()} == dict.fromkeys(results, "skipped")
    reasons = {cell: each.reason for cell, each in results.items()}
    assert "no CPU build of its torch" in reasons[OLDER]
    assert reasons["pure-torch2.13.0-py3.99"] == "there is no Python 3.99 on this machine"
    assert "for a GPU" in reasons[f"cuda-torch2.13.0+cu130-py{HERE}"]
    assert reasons[f"vax-torch2.13.0-py{HERE}"] == f"it is for manylinux_2_28_vax, this machine is {os.uname().machine}"
    assert not list(bench.folder.rglob("__pycache__")), "the source tree is left as it was"
    assert bench.verify(CELL)[0].sha256 == done.sha256


def test_a_named_cell_takes_whatever_build_of_its_torch_there_is(bench: Bench) -> None:
    (result,) = bench.verify(OLDER)
    assert (result.outcome, result.torch) == ("passed", "2.12.0"), result
    assert bench.verify("pure")[1].outcome == "passed", "its environment is at hand now"


@pytest.mark.slow
def test_a_torch_of_another_build_proves_nothing(bench: Bench) -> None:
    (result,) = bench.verify(f"cuda-torch2.13.0+cu130-py{HERE}")
    assert (result.outcome, result.passed) == ("skipped", 0)
    assert result.reason == "torch 2.13.0+cpu is all that can be had, not its build cu130"


def test_a_failing_test_fails_the_cell_and_shows_its_end(bench: Bench) -> None:
    (bench.folder / "project/tests/test_more.py").write_text("def test_it():\n    assert 1 + 1 == 3\n")
    (result,) = bench.verify(CELL)
    assert (result.outcome, result.passed, result.failed, result.reason) == ("failed", 1, 1, "1 tests failed")
    assert any("assert (1 + 1) == 3" in line for line in result.lines)


def test_tests_that_find_nothing_to_run_are_a_failure(bench: Bench) -> None:
    (bench.folder / "project/tests/test_ops.py").write_text("nothing = None\n")
    (result,) = bench.verify(CELL)
    assert (result.outcome, result.reason) == ("failed", "pytest ended with 5")


def test_a_wheel_that_breaks_the_import_is_a_failure(bench: Bench) -> None:
    (bench.folder / "wheels/my_ops-1.0-py3-none-any.whl").unlink()
    extra = {"my_ops/__init__.py": b"raise ImportError('undefined symbol')\n"}
    write_wheel(bench.folder / "wheels", "my_ops-1.1-py3-none-any.whl", build={"backend": "python"}, extra=extra)
    (result,) = bench.verify(CELL)
    assert result.outcome == "failed"
    assert any("undefined symbol" in line for line in result.lines)


def test_a_named_cell_that_is_not_possible_is_an_error(bench: Bench) -> None:
    for cell, cause in ((f"vax-torch2.13.0-py{HERE}", "manylinux_2_28_vax"), ("pure-torch2.13.0-py3.99", "3.99")):
        with pytest.raises(MimctlError) as caught:
            bench.verify(cell)
        assert caught.value.code == "wheels-cell"
        assert cause in caught.value.causes[0]
    for path in (bench.folder / "wheels").iterdir():
        path.unlink()
    assert {each.reason for each in bench.verify("pure")} == {f"there is no wheel of pure in {bench.place.wheels}"}


def test_reasons_are_told_once(bench: Bench) -> None:
    for path in (bench.folder / "wheels").iterdir():
        path.unlink()
    lines = summarise_skipped(bench.verify())
    assert lines[0] == f"skipped {CELL} and 2 more: there is no wheel of pure in {bench.place.wheels}"
    assert len(lines) == 3


def test_the_project_names_the_tools_of_its_tests(tmp_path: Path) -> None:
    assert tools_of_tests(tmp_path) == ("pytest>=8", "hypothesis>=6.100")
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\ntest = ["pytest>=7", {include-group = "x"}]\n')
    assert tools_of_tests(tmp_path) == ("pytest>=7",)


def test_an_interpreter_is_asked_for_its_version(tmp_path: Path) -> None:
    def program(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    environ = {"PATH": f"{tmp_path / 'shims'}:{tmp_path / 'bin'}", "HOME": str(tmp_path)}
    program(tmp_path / "shims/python3.98", "exit 127")
    assert find_interpreter("3.98", environ) is None
    program(tmp_path / "bin/python3.98", "echo 3.97")
    assert find_interpreter("3.98", environ) is None
    program(tmp_path / ".pyenv/versions/3.98.4/bin/python3.98", "echo 3.98")
    assert find_interpreter("3.98", environ) == tmp_path / ".pyenv/versions/3.98.4/bin/python3.98"
    program(tmp_path / "bin/python3.98", "echo 3.98")
    assert find_interpreter("3.98", environ) == tmp_path / "bin/python3.98"
    assert find_interpreter(HERE, {}) == Path(sys.executable)


def test_the_command_line_tells_and_fails_where_a_test_fails(bench: Bench) -> None:
    from click.testing import CliRunner

    from mimctl.cli.lazy import root

    (bench.folder / "project/tests/test_ops.py").write_text("def test_it():\n    assert False\n")
    argv = ["wheels", "verify", "pure", "--wheels", str(bench.place.wheels)]
    argv += ["--matrix", str(bench.folder / "wheels-matrix.yaml"), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMCTL_CACHE_DIR", str(bench.place.cache_dir))
        done = CliRunner().invoke(root(), argv, standalone_mode=False)
    assert done.return_value == 1
    cells = json.loads(done.stdout)["cells"]
    assert (cells[0]["cell"], cells[0]["outcome"]) == (CELL, "failed")


def test_the_page_of_an_index_shows_what_a_run_found(bench: Bench) -> None:
    """`wheels verify --json > here.json`, `index build --verified here.json`, a page: nothing is written by hand."""
    wheels, site, report = bench.place.wheels, bench.folder / "site", bench.folder / "here.json"
    wheel = wheels / "my_ops-1.0-py3-none-any.whl"
    matrix = bench.folder / "wheels-matrix.yaml"
    argv = ["wheels", "verify", CELL, "--wheels", wheels, "--matrix", matrix, "--json"]
    said = run_cli(*argv, cache=bench.place.cache_dir)
    assert said.returncode == 0, said.stderr
    report.write_text(said.stdout)
    (cell,) = json.loads(said.stdout)["cells"]
    said = run_cli("index", "build", "--wheels", wheel, "--verified", report, "--out", site, cache=bench.folder)
    assert said.returncode == 0, said.stderr
    assert table_of(site) == [
        ["Version", "Build", "Platform", "torch 2.13.0+cpu"],
        ["1.0", "python", "any", f"Python {cell['python']}: 1 passed, 1 skipped"],
    ]
    (sha256,) = json.loads((site / "verified.json").read_text())["wheels"]
    assert sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
