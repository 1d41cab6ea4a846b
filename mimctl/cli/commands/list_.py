"""`mimctl list`: the toolboxes of the target environment."""

from __future__ import annotations

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Line, Result, Styled, table
from mimctl.plugin.discover import BrokenPlugin, Plugin


@verb("list", examples=["mimctl list", "mimctl list --json"], target=True, uses=("python",))
def list_(context: Context) -> Result:
    """List the installed toolboxes, broken ones with the reason."""
    listing = api.list_package(settings=context.settings)
    context.output.say_debug(f"target {listing.target.python} from {listing.target.source}")
    lines = _lines(listing.plugins)
    if not listing.plugins:
        lines = ["no toolbox is installed"]
    return Result(
        data={
            "target": {"python": str(listing.target.python), "source": listing.target.source},
            "plugins": [_data(plugin) for plugin in listing.plugins],
            "problems": [
                {"name": each.name, "summary": each.summary, "hint": each.hint, "code": each.code}
                for each in listing.findings
            ],
        },
        lines=lines,
        quiet=[plugin.name for plugin in listing.plugins],
        notes=[
            f"target: {listing.target.python} ({listing.target.source})",
            *(Styled(f"warning: {each.summary}; {each.hint}", "yellow") for each in listing.findings),
        ],
    )


def _lines(plugins: tuple[Plugin | BrokenPlugin, ...]) -> list[Line]:
    rows = [
        (each.name, each.version, each.manifest.summary if isinstance(each, Plugin) else f"broken: {each.reason}")
        for each in plugins
    ]
    lines = table(rows, head=("toolbox", "version", "what it is for"))
    for number, each in enumerate(plugins, 1):
        if isinstance(each, BrokenPlugin):
            lines[number] = Styled(str(lines[number]), "red")
    return lines


def _data(plugin: Plugin | BrokenPlugin) -> dict[str, object]:
    common: dict[str, object] = {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "broken": plugin.reason if isinstance(plugin, BrokenPlugin) else None,
    }
    if isinstance(plugin, BrokenPlugin):
        return common
    manifest = plugin.manifest
    return {
        **common,
        "summary": manifest.summary,
        "aliases": sorted(manifest.aliases),
        "verbs": sorted(manifest.verbs),
        "location": str(plugin.package_dir),
    }


COMMANDS = {"list": list_}
