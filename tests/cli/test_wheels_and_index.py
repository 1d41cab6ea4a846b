"""`mimctl wheels` and `mimctl index` as typed: exit code, stdout, stderr, and what lies in the folder afterwards."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_wheels import write_ops_wheel, write_wheel
from toy_toolbox import Said

Mimctl = Callable[..., Said]

PURE = "mimctl_ops-0.1.0-py3-none-any.whl"

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
    write_ops_wheel(tmp_path / "wheels", "python")
    site = tmp_path / "index of mine"
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site)
    assert said.code == 0
    assert said.out == f"1 wheel, 0 toolboxes, 0 models in {site}\n"
    assert said.err == f"use it: `mimctl settings set index '{site}'`\n"
    assert (site / "index.json").is_file()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site, "--json")
    data = json.loads(said.out)
    assert (data["command"], data["files"], data["torch_verified"]) == ("index build", [PURE], None)
    assert (data["yanked"], data["left_out"], data["unlisted"]) == ([], [], [])


def test_index_build_tells_what_it_left_out(mimctl: Mimctl, tmp_path: Path) -> None:
    folder = write_wheel(tmp_path / "wheels", "mimctl_det-0.1.dev3+g1a2b3c4-py3-none-any.whl").parent
    with tarfile.open(folder / "mimctl_det-0.1.dev3.tar.gz", "w:gz"):
        pass
    said = mimctl("index", "build", "--wheels", folder, "--out", tmp_path / "site")
    assert said.code == 0
    assert said.err == (
        "left out mimctl_det-0.1.dev3.tar.gz: an index holds wheels, no source distributions\n"
        "warning: pip and uv do not see mimctl_det-0.1.dev3+g1a2b3c4-py3-none-any.whl: its label is no backend\n"
        f"use it: `mimctl settings set index {tmp_path / 'site'}`\n"
    )


def test_index_build_of_nothing_is_told_what_to_name(mimctl: Mimctl, tmp_path: Path) -> None:
    said = mimctl("index", "build", "--out", tmp_path / "site")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error[no-wheels]: no wheels to make an index from\n"
        "\n"
        "hint: build them first: `mimctl wheels build --out DIR`\n"
        "hint: or take those of another index: `--from ADDRESS`\n"
        "hint: or make an index of models alone: `--zoo DIR`\n"
        "hint: read more: `mimctl explain no-wheels`\n"
    )
    said = mimctl("index", "build", "--from", tmp_path / "nowhere", "--out", tmp_path / "site")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"error[not-an-index]: no mimctl index at `{tmp_path / 'nowhere'}`\n")
    assert not list(tmp_path.glob(".site*"))


def test_index_build_adds_to_what_is_published(mimctl: Mimctl, tmp_path: Path) -> None:
    write_ops_wheel(tmp_path / "wheels", "python")
    write_wheel(tmp_path / "new", "mimctl_det-0.1.0-py3-none-any.whl")
    site = tmp_path / "site"
    mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site)
    said = mimctl("index", "build", "--wheels", tmp_path / "new", "--from", site, "--out", site, "-q")
    assert (said.code, said.out, said.err) == (0, f"{site}\n", "")
    assert sorted(path.name for path in (site / "simple").iterdir() if path.is_dir()) == ["mimctl-det", "mimctl-ops"]


def test_index_yank_withdraws_and_brings_back(mimctl: Mimctl, tmp_path: Path) -> None:
    write_ops_wheel(tmp_path / "wheels", "python")
    site = tmp_path / "site"
    mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", site)
    said = mimctl("index", "yank", site / "files" / PURE, "--reason", "wrong gradients")
    assert (said.code, said.out, said.err) == (0, f"withdrew {PURE}\n", "")
    said = mimctl("index", "yank", PURE, "--out", site, "--reason", "wrong gradients")
    assert (said.code, said.out, said.err) == (0, "", f"nothing to do for {PURE}\n")
    said = mimctl("index", "yank", PURE, "--out", site, "--undo", "--json")
    assert json.loads(said.out) == {
        "schema_version": 1,
        "command": "index yank",
        "out": str(site),
        "changed": [PURE],
        "unchanged": [],
        "reason": None,
    }
    said = mimctl("index", "yank", PURE.removesuffix(".whl"), "--out", site)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"error[unknown-wheel]: the index has no wheel `{PURE.removesuffix('.whl')}`\n"
        f"  cause: 1 wheel in `{site}`\n"
        "\n"
        f"hint: did you mean `{PURE}`?\n"
        "hint: read more: `mimctl explain unknown-wheel`\n"
    )


def test_index_yank_wants_to_know_which_index(mimctl: Mimctl) -> None:
    said = mimctl("index", "yank", PURE)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error[usage]: which index holds the wheel?\n")
    assert mimctl("index", "yank", PURE, "--undo", "--reason", "x").code == 2
    assert mimctl("index", "yank").code == 2


def test_index_build_never_replaces_a_folder_that_is_no_index(mimctl: Mimctl, tmp_path: Path, home: Path) -> None:
    write_ops_wheel(tmp_path / "wheels", "python")
    (home / "thesis.tex").touch()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", home)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error[not-a-site]: `{home}` is there already")
    assert (home / "thesis.tex").exists()


def test_index_build_where_nobody_may_write_is_a_clear_error(mimctl: Mimctl, tmp_path: Path) -> None:
    write_ops_wheel(tmp_path / "wheels", "python")
    (tmp_path / "file").touch()
    said = mimctl("index", "build", "--wheels", tmp_path / "wheels", "--out", tmp_path / "file" / "site")
    assert said.code == 1
    assert said.err.startswith("error[")
    assert "Traceback" not in said.err
