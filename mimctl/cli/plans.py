"""What is said of a plan and of what became of it: lines for people, data for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mimctl.cli.options import Context
from mimctl.cli.result import Line, Result, Styled, table

if TYPE_CHECKING:
    from mimctl.api import Watch
    from mimctl.installer.model import Change, InstallPlan, InstallResult, ProjectDecision


def carry_out(
    context: Context,
    plan: InstallPlan,
    apply: Callable[[Watch], InstallResult],
    *,
    dry_run: bool,
    explain: bool,
    yes: bool,
) -> Result:
    """Tell what a plan changes, ask, and let `apply` do it; a dry run only tells."""
    from mimctl.resolution.names import is_own

    output = context.output
    decisions = plan.decisions if explain else [each for each in plan.decisions if is_own(each.project)]
    told: list[Line] = [*target_lines(plan), *decision_lines(decisions)]
    warnings = [Styled(f"warning: {warning}", "yellow") for warning in plan.warnings]
    told += [*(Styled(f"note: {note}", "yellow") for note in plan.notes), *warnings]
    if plan.nothing_to_do:
        if explain:
            return Result(data=plain_plan(plan, ()), lines=[*told, "nothing to do"])
        return Result(data=plain_plan(plan, ()), lines=["nothing to do"], notes=warnings)
    changes = [*told, *change_lines(plan.changes)]
    if dry_run:
        return Result(
            data={**plain_plan(plan, plan.changes), "dry_run": True},
            lines=changes,
            quiet=change_lines(plan.changes),
            notes=["dry run: nothing was changed"],
        )
    for line in changes:
        output.note(line)
    if not yes and not output.json and not output.confirm("go on?"):
        return Result(data=plain_plan(plan, ()), lines=["nothing was changed"], exit_code=1)
    with output.transfer_view() as watch:
        result = apply(watch)
    lines = [Styled(line, "green") for line in change_words(result.changes)]
    useless = packages_that_cannot_work(context, result.changes)
    data = {**plain_plan(plan, result.changes), "installer": result.installer, "cannot_work": useless}
    notes = [
        Styled(f"warning: `{name}` cannot work here: {reason}", "yellow")
        for name, reasons in useless.items()
        for reason in reasons
    ]
    if useless:
        notes.append(Styled("hint: what can be done: `mimctl explain package-cannot-work`", "yellow"))
    return Result(data=data, lines=lines, notes=notes)


def packages_that_cannot_work(context: Context, changes: Sequence[Change]) -> dict[str, list[str]]:
    """Return the packages of mim's convention that were installed and lack something → what they lack."""
    from mimctl import api

    names = {each.name for each in changes if each.action != "remove"}
    listed = api.list_package(settings=context.settings).packages if names else ()
    return {each.package.name: list(each.reasons) for each in listed if each.reasons and each.package.name in names}


def target_lines(plan: InstallPlan) -> list[Line]:
    """Return what is worked on: the interpreter and the facts that decide."""
    facts = plan.environment
    torch, accelerator = facts.torch.value, facts.accelerator.value
    driver = f"driver {accelerator.driver}" if accelerator.driver else "no GPU driver"
    torch_text = f"torch {torch.version}" if torch else "no torch"
    return [
        f"target: {plan.target.python} ({plan.target.source})",
        f"found: python {facts.python.value}, {torch_text}, {driver}, {facts.platform.value}",
    ]


def decision_lines(decisions: Sequence[ProjectDecision]) -> list[Line]:
    """Return every candidate of every op package with its decision."""
    from mimctl.selection.choose import Rejected

    lines: list[Line] = []
    for project in decisions:
        if project.kept:
            lines.append(f"{project.project}: {project.kept} is there and fits")
            continue
        rows = []
        for each in project.selection.decisions:
            if isinstance(each, Rejected):
                rows.append(("", each.file.label, f"rejected: {each.reason}"))
            else:
                rows.append(("", each.file.label, "chosen" if each.is_chosen else "fits"))
        lines += [f"{project.project}:", *table(rows)]
    return lines


def change_lines(changes: Sequence[Change]) -> list[Line]:
    """Return the planned changes as a table."""
    rows = []
    for each in changes:
        version = each.version or ""
        version = f"{each.previous} -> {version}" if each.previous and each.action != "remove" else version
        rows.append((each.action, each.name, version, each.source, each.reason))
    return table(rows)


def change_words(changes: Sequence[Change]) -> list[str]:
    """Return what was changed, one distribution a line."""
    words = {
        "install": "installed",
        "upgrade": "upgraded",
        "downgrade": "downgraded",
        "replace": "replaced",
        "remove": "removed",
    }
    return [f"{words[each.action]} {each.name} {each.version or each.previous or ''}".rstrip() for each in changes]


def plain_change(change: Change) -> dict[str, object]:
    """Return a change as JSON data."""
    from dataclasses import asdict

    return asdict(change)


def plain_plan(plan: InstallPlan, changes: Sequence[Change]) -> dict[str, object]:
    """Return a plan as JSON data, with the changes that were made or would be."""
    from mimctl.selection.choose import Rejected

    return {
        "target": {"python": str(plan.target.python), "source": plan.target.source},
        "requested": list(plan.requested),
        "changes": [plain_change(each) for each in changes],
        "decisions": [
            {
                "project": project.project,
                "kept": project.kept,
                "candidates": [
                    {
                        "file": each.file.filename,
                        "decision": "rejected" if isinstance(each, Rejected) else "accepted",
                        "chosen": not isinstance(each, Rejected) and each.is_chosen,
                        "reason": each.reason if isinstance(each, Rejected) else None,
                    }
                    for each in project.selection.decisions
                ],
            }
            for project in plan.decisions
        ],
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        "nothing_to_do": plan.nothing_to_do,
    }
