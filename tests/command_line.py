"""Whether the command line takes a line that documentation or a page shows."""

from __future__ import annotations

import click

from mimctl.cli.lazy import root


def parse(words: list[str]) -> None:
    """Let click parse the words behind `mimctl` as the command line does, without running anything.

    Raises click.UsageError.
    """
    command: click.Command = root()
    context = click.Context(command, info_name="mimctl")
    while isinstance(command, click.Group) and words:
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    if "-h" in words or "--help" in words:
        return
    command.make_context(command.name, list(words), parent=context)
