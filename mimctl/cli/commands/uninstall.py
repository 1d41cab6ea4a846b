"""`mimctl uninstall`: remove a toolbox."""

from __future__ import annotations

import click

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.plans import change_lines, change_words, plain_change
from mimctl.cli.result import Result, Styled
from mimctl.errors import UsageError


@verb(
    "uninstall",
    examples=["mimctl uninstall det", "mimctl uninstall det --dry-run", "mimctl uninstall -y -r requirements.txt"],
    target=True,
    tells_unfinished=False,
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-r", "--requirement", multiple=True, metavar="FILE", help="Remove what a requirements file lists.")
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed, remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def uninstall(
    context: Context, names: tuple[str, ...], requirement: tuple[str, ...], dry_run: bool, yes: bool
) -> Result:
    """Remove toolboxes and packages from the target environment; torch is never removed."""
    output = context.output
    if requirement:
        from mimctl.installer.asking.requests import names_in

        names = (*names, *names_in(requirement))
    if not names:
        raise UsageError("nothing is named", hints=["for example: `mimctl uninstall det`"])
    plan = api.prepare_uninstall(names, settings=context.settings)
    notes = [Styled(f"not installed: {', '.join(plan.not_installed)}", "yellow")] if plan.not_installed else []
    data: dict[str, object] = {
        "target": {"python": str(plan.target.python), "source": plan.target.source},
        "not_installed": list(plan.not_installed),
        "nothing_to_do": plan.nothing_to_do,
    }
    if plan.nothing_to_do:
        return Result(data={**data, "changes": []}, lines=["nothing to do"], notes=notes)
    if dry_run:
        lines = change_lines(plan.changes)
        changes = [plain_change(each) for each in plan.changes]
        return Result(data={**data, "changes": changes, "dry_run": True}, lines=lines, quiet=lines, notes=notes)
    for line in (f"target: {plan.target.python} ({plan.target.source})", *change_lines(plan.changes)):
        output.note(line)
    if not yes and not output.json and not output.confirm("go on?"):
        return Result(data={**data, "changes": []}, lines=["nothing was changed"], exit_code=1)
    with output.transfer_view() as watch:
        result = api.uninstall(names, plan=plan, watch=watch, settings=context.settings)
    return Result(
        data={**data, "changes": [plain_change(each) for each in result.changes], "installer": result.installer},
        lines=[Styled(line, "green") for line in change_words(result.changes)],
        notes=notes,
    )


COMMANDS = {"uninstall": uninstall}
