"""`mimctl run`: a script of a package that follows mim's convention."""

from __future__ import annotations

import click

from mimctl import api
from mimctl.cli.commands.script_verb import remade, start
from mimctl.cli.options import Context, VerbCommand, plugin_argument, verb
from mimctl.cli.result import Result

_WITH_VALUE = ("--python", "--color")


class RunCommand(VerbCommand):
    """A command whose own options end at the name of the script: all after it belongs to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse up to the script's name, and keep the rest as typed."""
        at = end_of_own(args)
        ctx.meta["mimctl.script"] = args[at:]
        return super().parse_args(ctx, args[:at])


def end_of_own(args: list[str]) -> int:
    """Return where the script's own words begin: behind the second word that is no option."""
    words, position = 0, 0
    while position < len(args) and words < 2:
        if args[position].startswith("-") and len(args[position]) > 1:
            position += 1 if args[position] in _WITH_VALUE else 0
        else:
            words += 1
        position += 1
    return min(position, len(args))


@verb(
    "run",
    examples=[
        "mimctl run mmdet",
        "mimctl run mmdet print_config rtmdet.py",
        "mimctl run mmdet analysis_tools:get_flops rtmdet.py --shape 640",
    ],
    target=True,
)
@plugin_argument
@click.argument("command", required=False)
@click.option("--dry-run", is_flag=True, help="Print what would be started, start nothing.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
def run(context: Context, plugin: str, command: str | None, dry_run: bool, yes: bool) -> Result:
    """Run a script of the package PLUGIN: COMMAND is its name, FOLDER:NAME where several have it; what follows goes on
    to the script. Without COMMAND, list the scripts."""
    if command is None:
        names = api.list_scripts(plugin, settings=context.settings)
        return Result(data={"scripts": names}, lines=names or ["no script"], quiet=names)
    typed = click.get_current_context().meta["mimctl.script"]
    return start(context, plugin, command, typed, None, dry_run=dry_run)


COMMANDS = {"run": remade(run, RunCommand)}
