"""What is said of a plan and of what became of it: lines for people, data for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mimctl.cli.options import Context
from mimctl.cli.result import Line, Result, Styled, table

if TYPE_CHECKING:
    from mimctl.api import Watch
    from mimctl.installer.model import Change, InstallPlan, InstallResult, ProjectDecision
    from mimctl.selection.choose import Decision


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
    from mimctl import api
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
    brought = {each.name for each in result.changes if each.action != "remove"}
    useless = api.find_useless(plan.environment, brought)
    cannot_work = {name: list(reasons) for name, reasons in useless.items()}
    data = {**plain_plan(plan, result.changes), "installer": result.installer, "cannot_work": cannot_work}
    notes = [
        Styled(f"warning: `{name}` cannot work here: {reason}", "yellow")
        for name, reasons in useless.items()
        for reason in reasons
    ]
    if useless:
        notes.append(Styled("hint: what can be done: `mimctl explain package-cannot-work`", "yellow"))
    return Result(data=data, lines=lines, notes=notes)


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
    lines: list[Line] = []
    for project in decisions:
        if project.kept:
            lines.append(f"{project.project}: {project.kept} is there and fits")
            continue
        rows = []
        for each in project.selection.decisions:
            is_chosen, reason = _outcome(each)
            word = f"rejected: {reason}" if reason is not None else "chosen" if is_chosen else "fits"
            rows.append(("", each.file.label, word))
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


def _outcome(decision: Decision) -> tuple[bool, str | None]:
    """Return whether a candidate was chosen, and why it was rejected (None where it fits)."""
    from mimctl.selection.choose import Rejected  # not before: most plans that change nothing hold no decision

    return (False, decision.reason) if isinstance(decision, Rejected) else (decision.is_chosen, None)


def _plain_decision(decision: Decision) -> dict[str, object]:
    is_chosen, reason = _outcome(decision)
    word = "accepted" if reason is None else "rejected"
    return {"file": decision.file.filename, "decision": word, "chosen": is_chosen, "reason": reason}


def plain_plan(plan: InstallPlan, changes: Sequence[Change]) -> dict[str, object]:
    """Return a plan as JSON data, with the changes that were made or would be."""
    return {
        "target": {"python": str(plan.target.python), "source": plan.target.source},
        "requested": list(plan.requested),
        "changes": [plain_change(each) for each in changes],
        "decisions": [
            {
                "project": project.project,
                "kept": project.kept,
                "candidates": [_plain_decision(each) for each in project.selection.decisions],
            }
            for project in plan.decisions
        ],
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        "nothing_to_do": plan.nothing_to_do,
    }
