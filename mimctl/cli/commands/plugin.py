"""`mimctl plugin`: for those who write a toolbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import ExitCode

if TYPE_CHECKING:
    from mimctl.authoring.model import CheckReport, Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


@verb(
    "check",
    examples=[
        "mimctl plugin check",
        "mimctl plugin check plugins/det",
        "mimctl plugin check det --json",
        "mimctl plugin check --no-write --no-run",
    ],
    target=True,
    uses=("python",),
)
@click.argument("toolbox", default=".", required=False, metavar="[DIR|NAME]")
@click.option("--no-write", is_flag=True, help="Write no types.json; one that is behind its source is a failure.")
@click.option("--no-run", is_flag=True, help="Start nothing: leave out what only running the toolbox tells.")
def check(context: Context, toolbox: str, no_write: bool, no_run: bool) -> Result:
    """Check a toolbox that you write: manifest, imports, types.json, configs, packaging, and that its models build."""
    with context.output.transfer_view() as watch:
        report = api.check_plugin(toolbox, writes=not no_write, runs=not no_run, watch=watch, settings=context.settings)
    return Result(
        data={
            "ok": report.ok,
            "package": report.subject.package,
            "location": str(report.subject.package_dir),
            "source": report.subject.is_source,
            "findings": [_data(each) for each in report.findings],
        },
        lines=[*(line for each in report.findings for line in _lines(each)), "", _sum(report)],
        quiet=[_text(each) for each in report.findings if each.status == "fail"],
        exit_code=ExitCode.DONE if report.ok else ExitCode.FAILED,
    )


def _lines(finding: Finding) -> list[Line]:
    """Return one line on what was found, and where it is not well its place and what to type."""
    lines: list[Line] = [Styled(_text(finding), _STYLES[finding.status])]
    if finding.origin is not None and finding.status != "ok":
        lines.append(
            f"      --> {_short(finding.origin.file)}{f':{finding.origin.line}' if finding.origin.line else ''}"
        )
    return [*lines, *(f"      hint: {hint}" for hint in finding.hints)]


def _text(finding: Finding) -> str:
    return f"{finding.status:<4}  {finding.check:<9}  {finding.message}"


def _short(file: str) -> str:
    """Return a path as it is typed from here."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _sum(report: CheckReport) -> str:
    counts = {status: sum(each.status == status for each in report.findings) for status in _STYLES}
    words = [f"{counts['ok']} ok"]
    words += [f"{counts['warn']} warning{'s' if counts['warn'] > 1 else ''}"] if counts["warn"] else []
    words += [f"{counts['skip']} skipped"] if counts["skip"] else []
    words += [f"{counts['fail']} failed"] if counts["fail"] else []
    return ", ".join(words)


def _data(finding: Finding) -> dict[str, object]:
    origin = finding.origin
    return {
        "check": finding.check,
        "status": finding.status,
        "message": finding.message,
        "file": origin.file if origin else None,
        "line": origin.line if origin else None,
        "hints": list(finding.hints),
    }


@verb(
    "new",
    examples=["mimctl plugin new dots", "mimctl plugin new dots --dir ~/src/dots"],
    target=True,
    uses=("python",),
)
@click.argument("name")
@click.option("--dir", "folder", type=PATH, metavar="DIR", help="The folder to make.  [default: mimctl-NAME]")
def new(context: Context, name: str, folder: Path | None) -> Result:
    """Write a new toolbox that trains at once: a model, data set, metric, config and test to be replaced by yours."""
    files = api.new_plugin(name, folder and folder.expanduser(), settings=context.settings)
    top = files[0].parent
    shown = _short(str(top))
    return Result(
        data={"location": str(top), "files": [str(each) for each in files]},
        lines=[_short(str(each)) for each in files],
        quiet=[str(each) for each in files],
        notes=[
            f"check it: `mimctl plugin check {shown}`",
            f"install it: `pip install -e {shown}`",
            f"train it: `mimctl train {name} {name}_small`",
        ],
    )


COMMANDS = {"check": check, "new": new}
