"""`mimctl data`: look at a folder of images before training on it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, plugin_argument, verb
from mimctl.cli.result import Result
from mimctl.errors import MimctlError


@verb("data", examples=["mimctl data det my_photos", "mimctl data det my_photos --json"], target=True, uses=("python",))
@plugin_argument
@click.argument("folder", type=PATH)
def data(context: Context, plugin: str, folder: Path) -> Result:
    """Say what a toolbox finds in a folder: layout, classes, splits, mistakes; nothing is written into it."""
    if not folder.expanduser().exists():
        raise MimctlError(f"`{folder}` does not exist", code="data-not-found")
    with tempfile.TemporaryDirectory(prefix="mimctl-data-") as scratch:
        report = api.describe_data(plugin, folder.expanduser(), out=Path(scratch), settings=context.settings)
    return Result(data={"data": dict(report.raw)}, lines=report.lines)


COMMANDS = {"data": data}
