"""Verbs that only some toolboxes offer (`convert`, `browse`, …): refused by name with those that the toolbox has."""

from __future__ import annotations

import click

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result
from mimctl.errors import MimctlError


def make(name: str) -> click.Command:
    """Return the command for one such verb."""

    @verb(name, examples=[f"mimctl {name} det ..."], target=True)
    @click.argument("plugin")
    @click.argument("arguments", nargs=-1)
    def command(context: Context, plugin: str, arguments: tuple[str, ...]) -> Result:
        """Run a verb that the toolbox PLUGIN itself offers."""
        from mimctl.launch.prepare import find_verb
        from mimctl.plugin.discover import get_plugin

        listing = api.list_package(settings=context.settings)
        find_verb(get_plugin(plugin, listing.plugins), name)
        raise MimctlError(
            f"this version of mimctl cannot start `{name}`",
            code="verb-not-offered",
            causes=["the toolbox offers it for a later one"],
        )

    return command
