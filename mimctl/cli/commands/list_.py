"""`mimctl list`: the toolboxes of the target environment, and its packages that follow mim's convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Line, Result, Styled, table
from mimctl.plugin.mim import BrokenMimPackage, MimPackage
from mimctl.plugin.model import BrokenPlugin, Plugin

if TYPE_CHECKING:
    from mimctl.api.looking import ListedPackage, Listing

KIND = "mim package"


@verb("list", examples=["mimctl list", "mimctl list --all", "mimctl list --json"], target=True, uses=("python",))
@click.option("--all", "everything", is_flag=True, help="List every distribution that is installed.")
def list_(context: Context, everything: bool) -> Result:
    """List the installed toolboxes and the packages that follow mim's convention, broken ones with the reason."""
    listing = api.list_package(everything, settings=context.settings)
    context.output.say_debug(f"target {listing.target.python} from {listing.target.source}")
    data: dict[str, object] = {
        "target": {"python": str(listing.target.python), "source": listing.target.source},
        "plugins": [_data(plugin) for plugin in listing.plugins],
        "packages": [_package_data(each) for each in listing.packages],
        "problems": [
            {"name": each.name, "summary": each.summary, "hint": each.hint, "code": each.code}
            for each in listing.findings
        ],
    }
    if everything:
        data["distributions"] = [{"name": each.name, "version": each.version} for each in listing.distributions]
    names = [each.name for each in (*listing.plugins, *(listed.package for listed in listing.packages))]
    return Result(
        data=data,
        lines=_everything(listing) if everything else _lines(listing),
        quiet=[each.name for each in listing.distributions] if everything else names,
        notes=[
            f"target: {listing.target.python} ({listing.target.source})",
            *(Styled(f"warning: {each.summary}; {each.hint}", "yellow") for each in listing.findings),
            *(Styled(f"warning: {line}", "yellow") for line in _what_to_type(listing.plugins)),
        ],
    )


def _lines(listing: Listing) -> list[Line]:
    plugins, packages = listing.plugins, listing.packages
    if not plugins and not packages:
        return ["no toolbox is installed"]
    rows = [
        (each.name, each.version, each.manifest.summary if isinstance(each, Plugin) else f"broken: {each.reason}")
        for each in plugins
    ]
    if not packages:
        lines = table(rows, head=("toolbox", "version", "what it is for"))
    else:
        # The kind tells nothing where there is one only.
        kinds = [(name, version, "toolbox", text) for name, version, text in rows]
        kinds += [(each.package.name, each.package.version, KIND, _words(each)) for each in packages]
        lines = table(kinds, head=("toolbox", "version", "kind", "what it is for"))
    bad = [isinstance(each, BrokenPlugin) for each in plugins] + [bool(each.reasons) for each in packages]
    return [
        lines[0],
        *(Styled(str(line), "red") if is_bad else line for line, is_bad in zip(lines[1:], bad, strict=True)),
    ]


def _what_to_type(plugins: Sequence[Plugin | BrokenPlugin]) -> list[str]:
    hints = (hint for each in plugins if isinstance(each, BrokenPlugin) for hint in each.hints)
    return list(dict.fromkeys(hints))


def _words(listed: ListedPackage) -> str:
    if isinstance(listed.package, BrokenMimPackage):
        return f"broken: {listed.package.reason}"
    if not listed.reasons:
        return listed.summary
    more = f"; and {len(listed.reasons) - 1} more" if len(listed.reasons) > 1 else ""
    return f"cannot work here: {listed.reasons[0]}{more}"


def _everything(listing: Listing) -> list[Line]:
    kinds = {each.distribution: "toolbox" for each in listing.plugins}
    kinds.update({each.package.name: KIND for each in listing.packages})
    rows = [(each.name, each.version, kinds.get(each.name, "")) for each in listing.distributions]
    return table(rows, head=("distribution", "version", "kind"))


def _package_data(listed: ListedPackage) -> dict[str, object]:
    package = listed.package
    common: dict[str, object] = {
        "name": package.name,
        "kind": KIND,
        "version": package.version,
        "module": package.module,
        "broken": package.reason if isinstance(package, BrokenMimPackage) else None,
    }
    if not isinstance(package, MimPackage):
        return common
    return {
        **common,
        "summary": listed.summary,
        "works": not listed.reasons,
        "reasons": list(listed.reasons),
        "location": str(package.root),
        "editable": package.is_editable,
    }


def _data(plugin: Plugin | BrokenPlugin) -> dict[str, object]:
    common: dict[str, object] = {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "broken": plugin.reason if isinstance(plugin, BrokenPlugin) else None,
        "code": plugin.code if isinstance(plugin, BrokenPlugin) else None,
        "hints": list(plugin.hints) if isinstance(plugin, BrokenPlugin) else [],
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
