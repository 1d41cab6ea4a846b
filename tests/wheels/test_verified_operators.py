"""The operators of this project: built, their own tests run with the very file, and what came of it on a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from verified_page import run_cli, table_of

MATRIX = Path(__file__).resolve().parents[2] / "wheels-matrix.yaml"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_operators_own_tests_stand_on_the_page(tmp_path: Path) -> None:
    """The operators without a compiled half, built, verified and shown; minutes, most of them their tests."""
    wheels, cache = tmp_path / "wheels", tmp_path / "cache"
    said = run_cli("wheels", "build", "ops-python", "--matrix", MATRIX, "--out", wheels, cache=cache)
    assert said.returncode == 0, said.stderr
    argv = ["wheels", "verify", "ops-python", "--wheels", wheels, "--matrix", MATRIX, "--json"]
    said = run_cli(*argv, cache=cache)
    assert said.returncode == 0, said.stdout
    done = [each for each in json.loads(said.stdout)["cells"] if each["outcome"] == "passed"]
    if not done:
        pytest.skip("pip is offered no CPU build of a torch of the matrix")
    (tmp_path / "here.json").write_text(said.stdout)
    argv = ["index", "build", "--wheels", wheels, "--verified", tmp_path / "here.json", "--out", tmp_path / "site"]
    assert run_cli(*argv, cache=cache).returncode == 0
    head, row = table_of(tmp_path / "site")
    for each in done:
        assert f"Python {each['python']}: {each['passed']} passed" in row[head.index(f"torch {each['torch']}")]
        assert each["passed"] > 100
