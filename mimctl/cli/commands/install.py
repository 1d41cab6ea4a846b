"""`mimctl install`: a toolbox and the op wheel that fits, or any package; torch that is there stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.install_options import package_options, request_options, take_options
from mimctl.cli.options import PATH, Context, index_option, verb
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
        "mimctl install det --for gpu",
        "mimctl install det --index https://example.org/mimctl",
        "mimctl install mmdet==3.3.0 'rich>=13'",
        "mimctl install -r requirements.txt -e ./my_project",
        "mimctl install --bundle /media/usb/det",
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
@click.option(
    "--for",
    "machine",
    metavar="PARTITION|FILE",
    help="Choose builds for nodes that `mimctl env --partition` has seen, or for what `mimctl env --json` says.",
)
@package_options
@click.option("--bundle", type=PATH, metavar="DIR", help="Install what a bundle holds, without a network.")
@click.option("--installer", type=click.Choice(["auto", "pip", "uv"]), help="What makes the changes.")
@click.option("--dry-run", is_flag=True, help="Print the changes, make none.")
@click.option("--explain", is_flag=True, help="Print the decision on every candidate.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def install(
    context: Context,
    names: tuple[str, ...],
    *,
    machine: str | None,
    bundle: Path | None,
    dry_run: bool,
    explain: bool,
    yes: bool,
    **choices: Any,
) -> Result:
    """Install toolboxes (det), packages, folders and what files list into the target environment."""
    options = take_options(choices)
    if bundle is not None:
        return _install_bundle(context, names, bundle, machine, dry_run=dry_run, explain=explain, yes=yes)
    if not (names or options.requirement_files or options.editables):
        raise UsageError(
            "nothing is named",
            hints=["for example: `mimctl install det`, `mimctl install -r requirements.txt`, `mimctl install -e .`"],
        )
    with context.output.transfer_view() as watch:
        plan = api.prepare_install(names, options, machine=machine, watch=watch, settings=context.settings)

    def apply(watch: api.Watch) -> InstallResult:
        return api.install(names, options, plan=plan, watch=watch, settings=context.settings)

    return carry_out(context, plan, apply, dry_run=dry_run, explain=explain, yes=yes)


def _install_bundle(
    context: Context,
    names: tuple[str, ...],
    folder: Path,
    machine: str | None,
    *,
    dry_run: bool,
    explain: bool,
    yes: bool,
) -> Result:
    if names:
        raise UsageError(
            f"a bundle is installed as a whole: `{names[0]}` cannot be named beside `--bundle`",
            hints=[f"leave it out: `mimctl install --bundle {folder}`"],
        )
    from mimctl.cli.bundled import install_bundle

    return install_bundle(context, folder, machine, dry_run=dry_run, explain=explain, yes=yes)


COMMANDS = {"install": install}
