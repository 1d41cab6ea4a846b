"""`mimctl run`: a script of a toolbox, or of a package that follows mim's convention."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

import click

from mimctl import api
from mimctl.cli.commands.script_verb import error_stream, remade, shown
from mimctl.cli.options import Context, VerbCommand, launch_options, plugin_argument, verb
from mimctl.cli.result import Result
from mimctl.cli.runs import launch_of


class RunCommand(VerbCommand):
    """A command whose own options end at the name of the script: all after it belongs to the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse up to the script's name, and keep the rest as typed."""
        at = end_of_own(args, _with_value(self))
        ctx.meta["mimctl.script"] = args[at:]
        return super().parse_args(ctx, args[:at])


def end_of_own(args: Sequence[str], with_value: Collection[str]) -> int:
    """Return where the script's own words begin: behind the second word that is no option, nor an option's value.

    `with_value` are the options that take one: the next word, or what is glued to them (`--gpus=2`, `-G2`, `-yG 2`).
    """
    words, position = 0, 0
    while position < len(args) and words < 2:
        word = args[position]
        if not word.startswith("-") or word == "-":
            words += 1
        elif _takes_next(word, with_value):
            position += 1
        position += 1
    return min(position, len(args))


def _takes_next(word: str, with_value: Collection[str]) -> bool:
    if word.startswith("--"):
        return word in with_value
    first = next((place for place, letter in enumerate(word) if f"-{letter}" in with_value), None)
    return first == len(word) - 1


def _with_value(command: click.Command) -> set[str]:
    options = [each for each in command.params if isinstance(each, click.Option) and not each.is_flag]
    return {name for each in options for name in each.opts}


@verb(
    "run",
    examples=[
        "mimctl run mmdet",
        "mimctl run mmdet analysis_tools:get_flops rtmdet.py --shape 640",
        "mimctl run --gpus 2 my_toolbox evaluate --threshold 0.5",
        "mimctl run --launcher slurm --gpus 8 -p gpu --detach my_toolbox extract_features photos",
    ],
    target=True,
)
@plugin_argument
@click.argument("command", required=False)
@launch_options
def run(context: Context, plugin: str, command: str | None, **values: Any) -> Result:
    """Run a script of the toolbox or package PLUGIN: COMMAND is its name, FOLDER:NAME where several have it; of a
    toolbox of ours also a module or a console script.

    Options stand before COMMAND; what follows it goes on to the script. Without COMMAND, list what there is.
    """
    if command is None:
        names = api.list_scripts(plugin, settings=context.settings)
        return Result(data={"scripts": names}, lines=names or ["no script"], quiet=names)
    output = context.output
    words = click.get_current_context().meta["mimctl.script"]
    start = functools.partial(
        api.run,
        plugin,
        command,
        words,
        launch_of(values),
        dry_run=values["dry_run"],
        stdout=error_stream() if output.json else None,
        settings=context.settings,
    )
    if values["launcher"] == "slurm":
        with output.run_view(f"run {command}") as view:
            return shown(start(listener=view, watch=view), output)
    with output.transfer_view() as watch:
        return shown(start(watch=watch), output)


COMMANDS = {"run": remade(run, RunCommand)}
