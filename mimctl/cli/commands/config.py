"""`mimctl config`: look into experiment configs; nothing is started and torch is not imported."""

from __future__ import annotations

from typing import Any

import click

from mimctl import api
from mimctl.cli.options import Context, config_options, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import UsageError

_PLUGIN = click.option("--plugin", metavar="NAME", help="The toolbox in which bare names are looked up.")


@verb(
    "show",
    examples=["mimctl config show my_config.py", "mimctl config show rtmdet_s --plugin det --cfg-options a.b=1"],
    target=True,
    uses=("python",),
)
@click.argument("config")
@_PLUGIN
@config_options
def show(context: Context, config: str, plugin: str | None, cfg_options: tuple[str, ...], **_: Any) -> Result:
    """Print a config with its bases and overrides resolved, as a config that stands alone."""
    evaluated = api.show_config(plugin, config, cfg_options, settings=context.settings)
    text = evaluated.pretty_text.rstrip("\n").split("\n")
    return Result(data={"config": evaluated.to_dict()}, lines=text, quiet=text)


@verb(
    "diff",
    examples=["mimctl config diff a.py b.py", "mimctl config diff rtmdet_s mine.py --plugin det"],
    target=True,
    uses=("python",),
)
@click.argument("first")
@click.argument("second")
@_PLUGIN
def diff(context: Context, first: str, second: str, plugin: str | None) -> Result:
    """Compare two resolved configs, value by value."""
    old, new = (flatten(api.show_config(plugin, each, settings=context.settings).to_dict()) for each in (first, second))
    lines: list[Line] = []
    changes = {}
    for key in [*old, *(key for key in new if key not in old)]:
        if key in old and key in new and old[key] == new[key] and type(old[key]) is type(new[key]):
            continue
        changes[key] = {side: repr(values[key]) for side, values in (("old", old), ("new", new)) if key in values}
        lines += [Styled(f"- {key} = {old[key]!r}", "red")] if key in old else []
        lines += [Styled(f"+ {key} = {new[key]!r}", "green")] if key in new else []
    return Result(data={"changes": changes}, lines=lines or ["no difference"], quiet=lines)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return every leaf by its dotted path; empty containers are leaves."""
    if isinstance(value, dict) and value:
        pairs = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list | tuple) and value:
        pairs = [(str(number), each) for number, each in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, each in pairs:
        flat.update(flatten(each, f"{prefix}.{key}" if prefix else key))
    return flat


@verb(
    "origin", examples=["mimctl config origin my_config.py model.backbone.deepen_factor"], target=True, uses=("python",)
)
@click.argument("config")
@click.argument("key")
@_PLUGIN
@config_options
def origin(
    context: Context, config: str, key: str, plugin: str | None, cfg_options: tuple[str, ...], **_: Any
) -> Result:
    """Say which file and line a value comes from."""
    evaluated = api.show_config(plugin, config, cfg_options, settings=context.settings)
    flat = flatten(evaluated.to_dict())
    inside = {name: value for name, value in flat.items() if name == key or name.startswith(f"{key}.")}
    if not inside:
        from mimctl.errors import nearest

        near = nearest(key, set(flat))
        hints = [f"did you mean {' or '.join(f'`{each}`' for each in near)}?"] if near else []
        raise UsageError(f"the config has no `{key}`", code="config-key", hints=hints)
    found = {name: str(evaluated.origin(name) or evaluated.origin(key) or "derived") for name in inside}
    lines = [f"{name} = {inside[name]!r}  ({place})" for name, place in found.items()]
    return Result(data={"origins": found}, lines=lines, quiet=lines)


@verb("lint", examples=["mimctl config lint my_config.py"], target=True, uses=("python",))
@click.argument("config")
@_PLUGIN
@config_options
def lint(context: Context, config: str, plugin: str | None, cfg_options: tuple[str, ...], **_: Any) -> Result:
    """Check a config against what the installed engine and toolboxes accept."""
    api.lint_config(plugin, config, cfg_options, settings=context.settings)
    return Result(data={"ok": True}, lines=["no mistake found"])


COMMANDS = {"show": show, "diff": diff, "origin": origin, "lint": lint}
