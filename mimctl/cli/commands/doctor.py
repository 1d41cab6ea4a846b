"""`mimctl doctor`: what is well in the target environment, what is not, and what to type; `--fix` repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, index_option, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import ExitCode

if TYPE_CHECKING:
    from mimctl.checkup.model import Check, Report
    from mimctl.installer.recovery import Repair

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_INDENT = " " * 6


@verb(
    "doctor",
    examples=[
        "mimctl doctor",
        "mimctl doctor --json",
        "mimctl doctor --offline --python .venv",
        "mimctl doctor --fix",
    ],
    target=True,
    tells_unfinished=False,
)
@index_option
@click.option("--fix", is_flag=True, help="Undo an installation that was killed half-way.")
def doctor(context: Context, fix: bool) -> Result:
    """Check the target environment: interpreter, torch, driver, ops, toolboxes, index; nothing but --fix changes it."""
    data: dict[str, object] = {}
    told: list[Line] = []
    if fix:
        with context.output.transfer_view() as watch:
            repair = api.repair(watch=watch, settings=context.settings)
        data, told = {"fixed": _repair_data(repair)}, [*_repair_lines(repair), ""]
    report = api.doctor(settings=context.settings)
    return Result(
        data={
            "ok": report.ok,
            "target": _target(report),
            "checks": [_data(each) for each in report.checks],
            **data,
        },
        lines=[*told, *(line for each in report.checks for line in _lines(each, _width(report))), "", _sum(report)],
        quiet=[f"{each.status} {each.name}: {each.summary}" for each in report.checks if each.status != "ok"],
        exit_code=ExitCode.DONE if report.ok else ExitCode.FAILED,
    )


def _repair_lines(repair: Repair | None) -> list[Line]:
    if repair is None:
        return ["nothing to fix: no installation was killed"]
    journal = repair.journal
    lines: list[Line] = [Styled(f"undone: `{journal.what}` by {journal.owner}", "green")]
    for what, names in (("removed", repair.removed), ("restored", repair.restored), ("left", repair.left)):
        lines += [f"{_INDENT}{what}: {', '.join(names)}"] if names else []
    return lines


def _repair_data(repair: Repair | None) -> dict[str, object] | None:
    if repair is None:
        return None
    return {
        "what": repair.journal.what,
        "owner": repair.journal.owner.to_dict(),
        "removed": list(repair.removed),
        "restored": list(repair.restored),
        "left": list(repair.left),
    }


def _lines(check: Check, width: int) -> list[Line]:
    """Return one line on the check; where it is not ok also why, what to type, and where to read more."""
    lines: list[Line] = [Styled(f"{check.status:<4}  {check.name:<{width}}  {check.summary}", _STYLES[check.status])]
    if check.status == "ok":
        return lines
    lines += [f"{_INDENT}{'cause: ' if number == 0 else '       '}{cause}" for number, cause in enumerate(check.causes)]
    lines += [f"{_INDENT}hint: {hint}" for hint in check.hints]
    lines += [f"{_INDENT}read more: `mimctl explain {check.code}`"] if check.code else []
    return lines


def _sum(report: Report) -> str:
    counts = {status: sum(each.status == status for each in report.checks) for status in _STYLES}
    words = [f"{counts['ok']} ok"]
    words += [f"{counts['warn']} warning{'s' if counts['warn'] > 1 else ''}"] if counts["warn"] else []
    words += [f"{counts['fail']} failed"] if counts["fail"] else []
    return ", ".join(words)


def _width(report: Report) -> int:
    return max(len(each.name) for each in report.checks)


def _target(report: Report) -> dict[str, str] | None:
    if report.target is None:
        return None
    return {"python": str(report.target.python), "source": report.target.source}


def _data(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "status": check.status,
        "summary": check.summary,
        "code": check.code,
        "causes": list(check.causes),
        "hints": list(check.hints),
    }


COMMANDS = {"doctor": doctor}
