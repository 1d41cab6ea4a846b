"""The matrix file: what it expands to, and that mistakes in it are named with their line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mimctl.errors import ConfigError, UsageError
from mimctl.wheels.matrix import read_matrix, to_github

ROOT = Path(__file__).resolve().parents[2]

GOOD = """\
schema_version: 1
projects: {my-ops: .}
builds:
  - name: cu13
    project: my-ops
    platform: manylinux_2_34_x86_64
    backend: cu13
    toolkit: "13.0"
    archs: ["8.0", "9.0"]
    ptx: ["12.0"]
    min_driver: "580"
    torch_headers: "2.13.0"
    target_torch: "2.10"
    env: {BACKEND: cu13}
    runner: linux
  - {name: pure, project: my-ops, platform: any, backend: python, runner: linux}
verify:
  - {build: cu13, torch: ["2.9.1", "2.10.0"], python: ["3.11", "3.12", "3.13"], torch_build: cu130, runner: gpu}
  - {build: pure, torch: ["2.6.0"], python: ["3.11"], runner: linux}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "wheels-matrix.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_the_product_of_torch_and_python(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    assert [cell.name for cell in matrix.verifies] == [
        *(
            f"cu13-torch{torch}+cu130-py{python}"
            for torch in ("2.9.1", "2.10.0")
            for python in ("3.11", "3.12", "3.13")
        ),
        "pure-torch2.6.0-py3.11",
    ]
    assert matrix.verifies[0].torch_build == "cu130"
    assert matrix.builds[0].archs == ("8.0", "9.0")
    assert matrix.builds[0].source == tmp_path
    assert [cell.is_compiled for cell in matrix.builds] == [True, False]
    assert matrix.verifies[0].source == tmp_path


def test_what_is_not_said_is_plain_and_unproved(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    assert {cell.labels for cell in matrix.builds} == {("",)}
    assert {cell.proof for cell in (*matrix.builds, *matrix.verifies)} == {"ci"}
    text = GOOD.replace(
        "runner: linux\n  - {name", 'runner: linux\n    labels: [cu13, ""]\n    proof: local\n  - {name'
    )
    cell = read_matrix(write(tmp_path, text)).builds[0]
    assert (cell.labels, cell.proof) == (("cu13", ""), "local")


def test_newest_verified_torch_is_compared_as_a_version(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    assert (matrix.verified_torch, matrix.default_torch) == ("2.10.0", "2.10.0")
    older = read_matrix(write(tmp_path, GOOD.replace("builds:", 'default_torch: "2.6.0"\nbuilds:', 1)))
    assert (older.verified_torch, older.default_torch) == ("2.10.0", "2.6.0")


def test_github_matrix_is_one_line_of_json_with_include_only(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    for cells in (matrix.builds, matrix.verifies):
        text = to_github(cells)
        assert "\n" not in text
        assert list(json.loads(text)) == ["include"]
        assert [cell["name"] for cell in json.loads(text)["include"]] == [cell.name for cell in cells]
    assert str(tmp_path) not in to_github(matrix.builds)


def test_more_than_256_cells_are_refused(tmp_path: Path) -> None:
    many = ", ".join(f'"2.{minor}.0"' for minor in range(100))
    matrix = read_matrix(write(tmp_path, GOOD.replace('"2.9.1", "2.10.0"', many)))
    with pytest.raises(UsageError, match="301 cells"):
        to_github(matrix.verifies)


def test_names_select_cells_and_projects(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    assert [cell.name for cell in matrix.select(["pure"])] == ["pure"]
    assert [cell.name for cell in matrix.select(["my-ops"])] == ["cu13", "pure"]
    assert matrix.select([]) == matrix.builds
    with pytest.raises(UsageError) as caught:
        matrix.select(["my-opps"])
    assert caught.value.code == "wheels-cell"
    assert caught.value.hints == ("did you mean `my-ops`?",)


def test_names_select_verify_cells_and_those_of_a_build(tmp_path: Path) -> None:
    matrix = read_matrix(write(tmp_path, GOOD))
    assert [cell.name for cell in matrix.select_verifies(["pure"])] == ["pure-torch2.6.0-py3.11"]
    assert len(matrix.select_verifies(["cu13"])) == 6
    assert matrix.select_verifies([]) == matrix.verifies
    with pytest.raises(UsageError, match="no verify cell or build `cu14`") as caught:
        matrix.select_verifies(["cu14"])
    assert caught.value.code == "wheels-cell"


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("backend: python", "bakcend: python", "unknown key `bakcend`", 16),
        ("schema_version: 1", "schema_version: 2", "schema_version is 2", 1),
        ("build: pure", "build: pur", "names the build `pur`", None),
        ('    torch_headers: "2.13.0"\n', "", "names no `torch_headers`", 4),
        ('target_torch: "2.10"', "target_torch: 2.10", 'write `"2.1"` in quotes', 4),
        ("project: my-ops, platform", "project: other, platform", "`other` is not in `projects`", None),
        ("runner: gpu}", "}", "lacks `runner`", None),
        ("name: pure", "name: cu13", "two builds are named `cu13`", 4),
        ("name: pure", "name: ../x", "no name for a build", 16),
        ("builds:", 'default_torch: "2.99.0"\nbuilds:', "`default_torch` is 2.99.0, which no verify entry names", 3),
        ("builds:", "builds: {}\nother:", "unknown key `other`", 4),
        ("runner: gpu}", "runner: gpu, proof: maybe}", "`proof` of `cu13` is `maybe`", None),
        ("backend: python,", "backend: python, labels: [A],", "`labels` of `pure` has `A`", None),
        ("backend: python,", "backend: python, labels: [a, a],", "each label once", None),
        (
            "{build: pure,",
            '{build: pure, torch: ["2.6.0"], python: ["3.11"], runner: x}\n  - {build: pure,',
            "two",
            None,
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str, line: int | None) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_matrix(path)
    assert caught.value.code == "wheels-matrix"
    assert message in caught.value.message
    if line is not None:
        assert str(caught.value.origin) == f"{path}:{line}"


def test_no_yaml_and_no_file_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        read_matrix(write(tmp_path, "builds: [\n"))
    assert caught.value.origin is not None
    with pytest.raises(ConfigError, match="no wheels matrix"):
        read_matrix(tmp_path / "absent.yaml")


def test_the_project_s_own_matrix_names_what_exists() -> None:
    matrix = read_matrix(ROOT / "wheels-matrix.yaml")
    assert matrix.verified_torch == "2.15.0"
    assert matrix.default_torch == "2.13.0"
    for cell in matrix.builds:
        assert (cell.source / "pyproject.toml").is_file()
    ops = json.loads((ROOT / "plugins/ops/mimctl_ops/build.json").read_text(encoding="utf-8"))
    pure = next(cell for cell in matrix.builds if cell.name == "ops-python")
    assert (pure.backend, pure.target_torch, pure.labels) == (ops["backend"], ops["min_torch"], ("",))
    for cells in (matrix.builds, matrix.verifies):
        assert 0 < len(json.loads(to_github(cells))["include"]) <= 256


def test_only_what_one_machine_without_a_gpu_can_prove_is_marked_so() -> None:
    matrix = read_matrix(ROOT / "wheels-matrix.yaml")
    builds = {cell.name: cell for cell in matrix.builds}
    for cell in (*matrix.builds, *matrix.verifies):
        if cell.proof == "local":
            assert not cell.platform.endswith("aarch64")
            assert not cell.runner.startswith("gpu")
    assert all(cell.torch_build == "cpu" for cell in matrix.verifies if cell.proof == "local")
    assert builds["ops-cu12-x86_64"].proof == "ci", "CUDA 12 has no compiler on the package index"
    verified = {cell.build for cell in matrix.verifies}
    assert {name for name, cell in builds.items() if cell.backend} == verified, "what is built is verified somewhere"
