"""`mimctl explain`: a page for every code that the source uses."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from toy_toolbox import ROOT

from mimctl.pages import error_pages

SOURCES = ("mimctl", "plugins/cls/mimctl_cls", "plugins/det/mimctl_det", "plugins/ops/mimctl_ops")


def codes_in(tree: ast.AST) -> set[str]:
    """Return the error codes of a module: `code=` arguments and the classes' `default_code`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            # `code="a" if ... else "b"` names two; `code=error.get("code", "c")` a default.
            found |= {value.value for value in values if isinstance(value, ast.Constant)}
            for value in (each for each in values if isinstance(each, ast.IfExp)):
                found |= {arm.value for arm in (value.body, value.orelse) if isinstance(arm, ast.Constant)}
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if any(isinstance(each, ast.Name) and each.id == "default_code" for each in targets):
                found.add(ast.literal_eval(node.value))
    return {code for code in found if isinstance(code, str)}


def codes_in_source() -> dict[str, str]:
    found: dict[str, str] = {}
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            for code in codes_in(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(code, str(path.relative_to(ROOT)))
    return found


def test_every_code_in_the_source_has_a_page():
    pages = {path.stem for path in (ROOT / "docs" / "errors").glob("*.md")}
    missing = {code: place for code, place in codes_in_source().items() if code not in pages}
    assert missing == {}


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "errors").glob("*.md")), ids=lambda path: path.stem)
def test_every_page_is_titled_by_its_code_and_short(path: Path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {path.stem}"
    assert 5 <= len(lines) <= 40
    assert all(len(line) <= 140 for line in lines)


def test_explain_prints_the_page(mimctl):
    said = mimctl("explain", "usage")
    assert said.code == 0
    assert said.out == (ROOT / "docs" / "errors" / "usage.md").read_text(encoding="utf-8")


def test_explain_alone_lists_all_codes(mimctl):
    codes = json.loads(mimctl("explain", "--json").out)["codes"]
    assert set(codes) == set(error_pages())
    assert all(codes.values())


def test_an_unknown_code_suggests_the_nearest(mimctl):
    said = mimctl("explain", "no-compatible-whel")
    assert said.code == 2
    assert said.err.startswith("error[unknown-code]: there is no page on `no-compatible-whel`\n")
