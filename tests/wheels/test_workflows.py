"""The workflows take their cells from the matrix, hand the same files on, and name no place of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
WHEELS = yaml.safe_load((FOLDER / "wheels.yml").read_text(encoding="utf-8"))["jobs"]


def commands(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def all_inputs(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith(f"actions/{action}@")]


def inputs(job: dict[str, Any], action: str) -> dict[str, Any]:
    (found,) = all_inputs(job, action)
    return found


def test_cells_come_from_the_matrix_file_alone() -> None:
    for kind in ("build", "verify"):
        assert f'echo "{kind}=$(mimctl wheels matrix {kind} --json)" >> "$GITHUB_OUTPUT"' in commands(WHEELS["matrix"])
        assert WHEELS["matrix"]["outputs"][kind] == f"${{{{ steps.cells.outputs.{kind} }}}}"
        assert WHEELS[kind]["strategy"]["matrix"] == f"${{{{ fromJSON(needs.matrix.outputs.{kind}) }}}}"
        assert WHEELS[kind]["runs-on"] == "${{ matrix.runner }}"


def test_what_was_built_and_audited_is_what_is_verified_and_published() -> None:
    built = commands(WHEELS["build"])
    assert built.index("wheels build") < built.index("wheels audit")
    assert inputs(WHEELS["build"], "upload-artifact")["name"] == "wheel-${{ matrix.name }}"
    assert inputs(WHEELS["verify"], "download-artifact")["name"] == "wheel-${{ matrix.build }}"
    wheels, _ = all_inputs(WHEELS["index"], "download-artifact")
    assert (wheels["pattern"], wheels["path"]) == ("wheel-*", "wheels")
    assert set(WHEELS["index"]["needs"]) == {"build", "verify"}
    assert not re.search(r"wheels build|pip wheel", commands(WHEELS["verify"]) + commands(WHEELS["index"]))


def test_an_index_says_which_tests_passed_with_its_wheels() -> None:
    kept = inputs(WHEELS["verify"], "upload-artifact")
    assert (kept["name"], kept["path"]) == ("verified-${{ matrix.name }}", "verified")
    assert '--wheels wheels --json > "verified/$CELL.json"' in commands(WHEELS["verify"])
    _, reports = all_inputs(WHEELS["index"], "download-artifact")
    assert (reports["pattern"], reports["path"]) == ("verified-*", "verified")
    assert commands(WHEELS["index"]).count("mimctl index build --wheels wheels --verified verified") == 2


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_reads_only_and_names_no_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["permissions"] == {"contents": "read"}
    assert not re.search(r"https?://|\b[\w-]+\.(?:io|com|org|dev|net)\b", text)
    for job in document["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "a value goes into a shell through a variable only"


def test_the_tests_are_those_of_the_makefile() -> None:
    (job,) = yaml.safe_load((FOLDER / "test.yml").read_text(encoding="utf-8"))["jobs"].values()
    assert "make test" in commands(job)
    assert re.search(r"^test:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
