"""`mimctl install`: a toolbox and the op wheel that fits, or any package; torch that is there stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.install_options import package_options, request_options, take_options
from mimctl.cli.options import Context, index_option, verb
from mimctl.cli.plans import carry_out
from mimctl.cli.result import Result
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.installer.model import InstallResult


@verb(
    "install",
    examples=[
        "mimctl install det",
        "mimctl install det --dry-run --explain",
        "mimctl install det --torch cu130 --python .venv/bin/python",
        "mimctl install det --index https://example.org/mimctl",
        "mimctl install mmdet==3.3.0 'rich>=13'",
        "mimctl install -r requirements.txt -e ./my_project",
        "mimctl install ./wheels/mine-1.0-py3-none-any.whl git+https://example.org/mine.git@v1.0",
    ],
    target=True,
    tells_unfinished=False,
)
@click.argument("names", nargs=-1, metavar="[NAME|PATH|ADDRESS]...")
@request_options
@index_option
@click.option("--torch", default="auto", show_default=True, metavar="auto|cpu|cu130|none", help="Where it is absent.")
@click.option("--variant", metavar="NAME", help="Take this build of the ops (cpu, cu13, python).")
@package_options
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print the changes, make none.")
@click.option("--explain", is_flag=True, help="Print the decision on every candidate.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def install(
    context: Context, names: tuple[str, ...], *, dry_run: bool, explain: bool, yes: bool, **choices: Any
) -> Result:
    """Install toolboxes (det), packages, folders and what files list into the target environment."""
    options = take_options(choices)
    if not (names or options.requirement_files or options.editables):
        raise UsageError(
            "nothing is named",
            hints=["for example: `mimctl install det`, `mimctl install -r requirements.txt`, `mimctl install -e .`"],
        )
    with context.output.transfer_view() as watch:
        plan = api.prepare_install(names, options, watch=watch, settings=context.settings)

    def apply(watch: api.Watch) -> InstallResult:
        return api.install(names, options, plan=plan, watch=watch, settings=context.settings)

    return carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)


COMMANDS = {"install": install}
