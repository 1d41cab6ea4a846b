"""`mimctl wheels` and `mimctl index` as typed: exit code, stdout, stderr, and what lies in the folder afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_wheels import OPS_BUILD, write_wheel
from toy_toolbox import Said

Mimctl = Callable[..., Said]

MATRIX = """\
schema_version: 1
projects: {my-ops: .}
builds:
  - {name: pure, project: my-ops, platform: any, backend: python, target_torch: "2.6", runner: linux}
  - {name: other, project: my-ops, platform: manylinux_2_28_vax, backend: cpu, torch_headers: "2.13.0", runner: vax}
verify:
  - {build: pure, torch: ["2.6.0", "2.13.0"], python: ["3.11"], runner: linux}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "wheels-matrix.yaml").write_text(MATRIX, encoding="utf-8")
    return folder


def test_matrix_is_a_table_for_people(mimctl: Mimctl, project: Path) -> None:
    said = mimctl("wheels", "matrix", cwd=project)
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "cell   project  platform            backend  torch   runner\n"
        "pure   my-ops   any                 python   >= 2.6  linux\n"
        "other  my-ops   manylinux_2_28_vax  cpu      -       vax\n"
    )


@pytest.mark.parametrize(("kind", "count"), [("build", 2), ("verify", 2)])
def test_matrix_json_is_one_line_that_github_takes(mimctl: Mimctl, project: Path, kind: str, count: int) -> None:
    said = mimctl("wheels", "matrix", kind, "--json", cwd=project)
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    data = json.loads(said.out)
    assert list(data) == ["include"]
    assert len(data["include"]) == count


def test_a_project_without_a_matrix_is_told_what_to_name(mimctl: Mimctl) -> None:
    said = mimctl("wheels", "matrix")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error[wheels-matrix]: no wheels matrix at `wheels-matrix.yaml`\n")
    assert "--matrix FILE" in said.err


def test_a_cell_for_another_machine_is_skipped_unless_it_is_named(mimctl: Mimctl, project: Path) -> None:
    text = "\n".join(line for line in MATRIX.splitlines() if "pure" not in line) + " []\n"
    (project / "wheels-matrix.yaml").write_text(text, encoding="utf-8")
    said = mimctl("wheels", "build", cwd=project)
    assert (said.code, said.out) == (0, "")
    assert said.err == f"skipped other: it is for manylinux_2_28_vax, this machine is {os.uname().machine}\n"
    said = mimctl("wheels", "build", "other", cwd=project)
    assert said.code == 1
    assert said.err.startswith("error[wheels-cell]: this machine cannot build `other`\n  cause: it is for")
    assert mimctl("wheels", "build", "othr", cwd=project).code == 2


def test_index_build_says_what_it_holds_and_how_to_use_it(mimctl: Mimctl, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", build=OPS_BUILD)
    site = tmp_path / "index of mine"
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site)
    assert said.code == 0
    assert said.out == f"1 wheels, 0 toolboxes, 0 models in {site}\n"
    assert said.err == f"use it: `mimctl settings set index '{site}'`\n"
    assert (site / "index.json").is_file()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site, "--json")
    data = json.loads(said.out)
    assert (data["command"], data["files"], data["torch_verified"]) == (
        "index build",
        ["mimctl_ops-0.1.0-py3-none-any.whl"],
        None,
    )


def test_index_build_never_replaces_a_folder_that_is_no_index(mimctl: Mimctl, tmp_path: Path, home: Path) -> None:
    write_wheel(tmp_path / "wheels", build=OPS_BUILD)
    (home / "thesis.tex").touch()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", home)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error[not-a-site]: `{home}` is there already")
    assert (home / "thesis.tex").exists()


def test_index_build_where_nobody_may_write_is_a_clear_error(mimctl: Mimctl, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", build=OPS_BUILD)
    (tmp_path / "file").touch()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", tmp_path / "file" / "site")
    assert said.code == 1
    assert said.err.startswith("error[")
    assert "Traceback" not in said.err
