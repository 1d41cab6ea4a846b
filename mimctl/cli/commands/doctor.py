"""`mimctl doctor`: what is well in the target environment, what is not, and what to type; `--fix` repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, index_option, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mimctl.api.mending import Mended
    from mimctl.checkup.model import Check, Report
    from mimctl.installer.model import Change
    from mimctl.installer.transaction.recovery import Repair

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_INDENT = " " * 6


@verb(
    "doctor",
    examples=[
        "mimctl doctor",
        "mimctl doctor --json",
        "mimctl doctor --offline --python .venv",
        "mimctl doctor --fix",
        "mimctl doctor --fix --dry-run",
    ],
    target=True,
    tells_unfinished=False,
)
@index_option
@click.option("--fix", is_flag=True, help="Undo an installation that was killed, and mend what fails; not torch.")
@click.option("--dry-run", is_flag=True, help="With --fix: print what would be changed, change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def doctor(context: Context, fix: bool, dry_run: bool, yes: bool) -> Result:
    """Check the target environment: interpreter, torch, driver, ops, toolboxes, index; nothing but --fix changes it."""
    if not fix:
        return _told(api.doctor(settings=context.settings))
    settings = context.settings
    data: dict[str, object] = {}
    told: list[Line] = []
    if not dry_run:
        with context.output.transfer_view() as watch:
            repair = api.repair(watch=watch, settings=settings)
        data, told = {"fixed": _repair_data(repair)}, list(_repair_lines(repair))
    report = api.doctor(settings=settings)
    steps = api.find_steps(report)
    if not steps and not any(each.fix for each in report.checks):
        return _told(report, data, told)
    planned = api.preview(steps, settings=settings)
    if dry_run:
        lines = ["would be changed:", *_mended_lines(planned, past=False)]
        return _told(report, {"mended": _mended_data(planned), "dry_run": True}, [*told, *lines])
    for line in _mended_lines(planned, past=False):
        context.output.note(line)
    if not yes and not context.output.json and not context.output.confirm("go on?"):
        return _told(report, data, [*told, "nothing else was changed"])
    with context.output.transfer_view() as watch:
        mended = api.mend(report, watch=watch, settings=settings)
    report = api.doctor(settings=settings)
    return _told(report, {**data, "mended": _mended_data(mended)}, [*told, *_mended_lines(mended, past=True)])


def _told(report: Report, data: Mapping[str, object] | None = None, told: Sequence[Line] = ()) -> Result:
    return Result(
        data={
            "ok": report.ok,
            "target": _target(report),
            "checks": [_data(each) for each in report.checks],
            **(data or {}),
        },
        lines=[
            *told,
            *([""] if told else []),
            *(line for each in report.checks for line in _lines(each, _width(report))),
            "",
            _sum(report),
        ],
        quiet=[f"{each.status} {each.name}: {each.summary}" for each in report.checks if each.status != "ok"],
        exit_code=ExitCode.DONE if report.ok else ExitCode.FAILED,
    )


def _repair_lines(repair: Repair | None) -> list[Line]:
    if repair is None:
        return ["no installation was killed"]
    journal = repair.journal
    lines: list[Line] = [Styled(f"undone: `{journal.what}` by {journal.owner}", "green")]
    for what, names in (("removed", repair.removed), ("restored", repair.restored), ("left", repair.left)):
        lines += [f"{_INDENT}{what}: {', '.join(names)}"] if names else []
    return lines


def _mended_lines(mended: Sequence[Mended], *, past: bool) -> list[Line]:
    """Return a line for each change that was made or would be, and for each step that cannot be taken."""
    from mimctl.cli.plans import change_words

    lines: list[Line] = []
    for each in mended:
        words = change_words(each.changes) if past else [_planned_words(change) for change in each.changes]
        lines += [Styled(f"fixed: {line}" if past else f"{_INDENT}{line}", "green") for line in words]
        if each.error is not None:
            what = f"{each.step.kind} {' '.join(each.step.names)}".rstrip()
            lines.append(Styled(f"not fixed: {what}: {each.error.message} ({each.error.code})", "yellow"))
    return lines


def _planned_words(change: Change) -> str:
    versions = " -> ".join(each for each in (change.previous, change.version) if each)
    return f"{change.action} {change.name} {versions}".rstrip()


def _mended_data(mended: Sequence[Mended]) -> list[dict[str, object]]:
    from mimctl.cli.plans import plain_change

    return [
        {
            "kind": each.step.kind,
            "names": list(each.step.names),
            "changes": [plain_change(change) for change in each.changes],
            "error": each.error.to_dict() if each.error else None,
        }
        for each in mended
    ]


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
        "fixable": check.fix is not None,
    }


COMMANDS = {"doctor": doctor}
