"""The reference pages say what the program does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mimctl.cli.reference import reference
from mimctl.cli.table import COMMANDS
from mimctl.errors import ExitCode
from mimctl.settings.keys import KEYS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"


def text_of(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def test_the_command_line_page_is_the_one_that_the_commands_write():
    assert text_of("cli.md") == reference(), "write it anew: python -m mimctl.cli.reference > docs/reference/cli.md"


def test_every_verb_has_a_section_and_a_line_on_its_json():
    page, json_page = text_of("cli.md"), text_of("json.md")
    for entry in COMMANDS:
        for name in [f"{entry.name} {child.name}" for child in entry.children] or [entry.name]:
            assert f"\n### mimctl {name}" in page
            if name not in ("completions", "settings set", "settings unset"):
                assert f"`{name.split()[0]}" in json_page


def test_every_exit_code_has_a_row():
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", text_of("exit-codes.md"), re.MULTILINE)}
    assert rows == {int(code) for code in ExitCode}


def test_every_variable_in_the_source_has_a_row():
    page = text_of("environment-variables.md")
    internal = {"MIMCTL_ERROR_DIR", "MIMCTL_PLACE"}  # between who starts ranks and these
    found = {key.variable for key in KEYS.values() if key.variable}
    for path in (ROOT / "mimctl").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"\bMIMCTL_[A-Z_]+\b", node.value))
    assert {name for name in found - internal if f"`{name}`" not in page} == set()
