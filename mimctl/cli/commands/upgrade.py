"""`mimctl upgrade`: the newest versions of what mimctl installed; torch stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, index_option, verb
from mimctl.cli.plans import carry_out
from mimctl.cli.result import Result
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.installer.model import InstallResult


@verb(
    "upgrade",
    examples=["mimctl upgrade --all", "mimctl upgrade det --dry-run", "mimctl upgrade --all --json --yes"],
    target=True,
    tells_unfinished=False,
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "everything", is_flag=True, help="All that mimctl installed.")
@index_option
@click.option("--variant", metavar="NAME", help="Take this build of the ops (cpu, cu13, python).")
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print the changes, make none.")
@click.option("--explain", is_flag=True, help="Print the decision on every candidate.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def upgrade(
    context: Context,
    names: tuple[str, ...],
    everything: bool,
    variant: str | None,
    dry_run: bool,
    explain: bool,
    yes: bool,
) -> Result:
    """Bring toolboxes, engine and ops to their newest version, which they share; torch stays as it is."""
    if bool(names) == everything:
        raise UsageError(
            "name what to upgrade, or all of it" if not names else "names and `--all` exclude each other",
            hints=["all that mimctl installed: `mimctl upgrade --all`", "see what there is: `mimctl list`"],
        )
    settings = context.settings
    plan = api.prepare_upgrade(names, variant=variant, settings=settings)

    def apply(watch: api.Watch) -> InstallResult:
        return api.upgrade(names, plan=plan, watch=watch, settings=settings)

    result = carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)
    how = None if dry_run else api.find_own_upgrade(settings=settings)
    if how is None:
        return result
    note = f"the command line is of another version: upgrade it too: `{how}`"
    return result._replace(data={**result.data, "own_upgrade": how}, notes=[*result.notes, note])


COMMANDS = {"upgrade": upgrade}
