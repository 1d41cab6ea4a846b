"""`mimctl install`: a toolbox and the op wheel that fits; torch that is there stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, index_option, verb
from mimctl.cli.plans import carry_out
from mimctl.cli.result import Result

if TYPE_CHECKING:
    from mimctl.installer.model import InstallResult


@verb(
    "install",
    examples=[
        "mimctl install det",
        "mimctl install det --dry-run --explain",
        "mimctl install det --torch cu130 --python .venv/bin/python",
        "mimctl install det --index https://example.org/mimctl",
    ],
    target=True,
    tells_unfinished=False,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@index_option
@click.option("--torch", default="auto", show_default=True, metavar="auto|cpu|cu130|none", help="Where it is absent.")
@click.option("--variant", metavar="NAME", help="Take this build of the ops (cpu, cu13, python).")
@click.option("-U", "--upgrade", is_flag=True, help="Take newer versions of what is installed.")
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print the changes, make none.")
@click.option("--explain", is_flag=True, help="Print the decision on every candidate.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def install(
    context: Context,
    names: tuple[str, ...],
    torch: str,
    variant: str | None,
    upgrade: bool,
    dry_run: bool,
    explain: bool,
    yes: bool,
) -> Result:
    """Install toolboxes (det) into the target environment."""
    from mimctl.installer.model import InstallOptions

    options = InstallOptions(torch=torch, variant=variant, upgrade=upgrade)
    plan = api.prepare_install(names, options, settings=context.settings)

    def apply(watch: api.Watch) -> InstallResult:
        return api.install(names, options, plan=plan, watch=watch, settings=context.settings)

    return carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)


COMMANDS = {"install": install}
