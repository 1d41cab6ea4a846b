"""Every command that the documentation shows is one that the command line accepts, and links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from command_line import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")


def documented_commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for each call of mimctl in a code block; continuation lines are joined."""
    for page in PAGES:
        for block in FENCE.finditer(page.read_text(encoding="utf-8")):
            for line in block["text"].replace("\\\n", " ").splitlines():
                for command in map(str.strip, line.removeprefix("$ ").split(" && ")):
                    if command.startswith("mimctl "):
                        yield str(page.relative_to(ROOT)), command


def workflow_commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for each call of mimctl in the steps of a workflow, also one inside `$(...)`."""
    for page in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(page.read_text(encoding="utf-8"))["jobs"].values():
            for line in (line for step in job["steps"] for line in step.get("run", "").splitlines()):
                for found in re.finditer(r"\$\((mimctl [^)]*)\)|^(mimctl .*)$", line.strip()):
                    yield str(page.relative_to(ROOT)), found[1] or found[2]


@pytest.mark.parametrize(("page", "command"), sorted({*documented_commands(), *workflow_commands()}))
def test_a_documented_command_is_accepted(page: str, command: str) -> None:
    words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
    try:
        parse(words)
    except click.UsageError as err:
        pytest.fail(f"{page}: `{command}`: {err.format_message()}")


def test_commands_were_found() -> None:
    assert len(set(documented_commands())) >= 20
    assert {command.split()[1] for _, command in workflow_commands()} == {"wheels", "index"}


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page: str) -> None:
    for link in LINK.finditer((ROOT / page).read_text(encoding="utf-8")):
        target = link["target"]
        if not target.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_the_readme_is_short_and_starts_with_a_command() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first_fence = next(number for number, line in enumerate(lines, start=1) if line.startswith("```"))
    fences = [number for number, line in enumerate(lines, start=1) if line.startswith("```")]
    assert len(lines) <= 120
    assert first_fence <= 11
    assert fences[3] <= 26, "the output of the first command ends by line 25"
