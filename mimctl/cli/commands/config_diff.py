"""`mimctl config diff`: what differs between two configs, or between a config and the same with overrides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.completing import complete_config, config_argument, plugin_option
from mimctl.cli.config_text import leaves, plain, shown
from mimctl.cli.options import Context, config_options, verb
from mimctl.cli.result import Line, Result, Styled

if TYPE_CHECKING:
    from mimctl.config import Config
    from mimctl.config.writing.compare import Difference


@verb(
    "diff",
    examples=[
        "mimctl config diff rtmdet_s rtmdet_m",
        "mimctl config diff rtmdet_s mine.py --origin",
        "mimctl config diff mine.py --cfg-options train_cfg.max_epochs=20",
    ],
    target=True,
    uses=("python",),
)
@config_argument
@click.argument("second", required=False, metavar="[SECOND]", shell_complete=complete_config)
@plugin_option
@click.option("--origin", is_flag=True, help="Print the file and line of every value too.")
@config_options
def diff(context: Context, config: str, second: str | None, plugin: str | None, **values: Any) -> Result:
    """Compare two resolved configs, value by value; without SECOND a config and the same with --cfg-options.

    Overrides are those of the second. Exit code, as diff's: 0 they are the same, 1 they differ.
    """
    from mimctl.config.writing.compare import compare

    if second is None and not values["cfg_options"]:
        raise click.UsageError("name a second config, or overrides: --cfg-options KEY=VALUE")
    old = api.show_config(plugin, config, settings=context.settings)
    new = api.show_config(plugin, second or config, values["cfg_options"], settings=context.settings)
    found = list(compare(old.to_dict(), new.to_dict()))
    head: list[Line] = [Styled(f"--- {config}", "bold"), Styled(f"+++ {second or _options(values)}", "bold")]
    lines = [line for each in found for line in _lines(each, old, new, has_origin=values["origin"])]
    return Result(
        data={"changes": [_data(each, old, new) for each in found]},
        lines=[*head, *lines] if found else ["no difference"],
        quiet=lines,
        exit_code=1 if found else 0,
    )


def _options(values: dict[str, Any]) -> str:
    return f"--cfg-options {' '.join(values['cfg_options'])}"


def _lines(each: Difference, old: Config, new: Config, *, has_origin: bool) -> Sequence[Line]:
    if each.kind == "moved":
        name = each.new.get("type") if isinstance(each.new, dict) else None
        return [Styled(f"~ {each.path} moved from {each.old_path}: {name or shown(each.new)}", "yellow")]
    lines: list[Line] = []
    if each.kind != "added":
        lines += [Styled(line, "red") for line in _side("-", each.old, each.old_path, old, has_origin)]
    if each.kind != "removed":
        lines += [Styled(line, "green") for line in _side("+", each.new, each.path, new, has_origin)]
    return lines


def _side(mark: str, value: Any, path: str, config: Config, has_origin: bool) -> list[str]:
    lines = []
    for leaf in leaves(value, path):
        origin = f"  # {config.origin(leaf) or 'derived'}" if has_origin else ""
        lines.append(f"{mark} {leaf} = {shown(config.select(leaf))}{origin}")
    return lines


def _data(each: Difference, old: Config, new: Config) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": each.kind, "path": each.path}
    if each.old_path != each.path:
        data["old_path"] = each.old_path
    if each.kind != "added":
        data |= {"old": plain(each.old), "old_type": type(each.old).__name__}
        data["old_origin"] = str(old.origin(each.old_path) or "derived")
    if each.kind != "removed":
        data |= {"new": plain(each.new), "new_type": type(each.new).__name__}
        data["new_origin"] = str(new.origin(each.path) or "derived")
    return data
