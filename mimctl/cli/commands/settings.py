"""`mimctl settings`: show and change the settings of mimctl itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import click

from mimctl import settings as settings_module
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table
from mimctl.settings import Settings


@verb("show", examples=["mimctl settings show", "mimctl settings show --origin", "mimctl settings show index"])
@click.argument("name", required=False)
@click.option("--origin", "with_origin", is_flag=True, help="Say where each value comes from.")
def show(context: Context, name: str | None, with_origin: bool) -> Result:
    """Print the settings, or one of them."""
    settings = context.settings
    names = (
        [settings_module.known(name)] if name else [each.name for each in fields(Settings) if each.name != "origins"]
    )
    rows = [(each, shown(getattr(settings, each)), f"({settings.origin(each)})") for each in names]
    if name and not with_origin:
        return Result(data=_data(settings, names), lines=[rows[0][1]], quiet=[rows[0][1]])
    return Result(
        data=_data(settings, names),
        lines=table(rows if with_origin else [row[:2] for row in rows]),
        quiet=[f"{key} = {value}" for key, value, _ in rows],
    )


def _data(settings: Settings, names: list[str]) -> dict[str, object]:
    return {
        "settings": {
            name: {"value": plain(getattr(settings, name)), "origin": str(settings.origin(name))} for name in names
        }
    }


def plain(value: object) -> object:
    """Return a setting's value as JSON data, without the passwords that addresses may carry."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    return without_password(value) if isinstance(value, str) else value


def shown(value: object) -> str:
    """Return a setting's value as a person types it."""
    data = plain(value)
    if isinstance(data, list):
        return " ".join(map(str, data)) or "-"
    if isinstance(data, dict):
        return " ".join(f"{key}={each}" for key, each in data.items()) or "-"
    if isinstance(data, bool):
        return "true" if data else "false"
    return "-" if data is None else str(data)


def without_password(address: str) -> str:
    """Return an address with `***` for the password or token in it."""
    if "://" not in address or "@" not in address:
        return address
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


@verb(
    "set",
    examples=[
        "mimctl settings set index https://example.org/mimctl",
        "mimctl settings set mirrors.download.openmmlab.com https://mirror.example.org/openmmlab",
        "mimctl settings set offline true",
    ],
    reads_files=False,
)
@click.argument("name")
@click.argument("values", nargs=-1, required=True)
def set_(context: Context, name: str, values: tuple[str, ...]) -> Result:
    """Set a value in the user's config.toml."""
    path = settings_module.set_value(name, values, home=context.settings.home)
    return Result(data={"file": str(path), "name": name}, notes=[f"`{name}` is set in {path}"])


@verb("unset", examples=["mimctl settings unset index"], reads_files=False)
@click.argument("name")
def unset(context: Context, name: str) -> Result:
    """Remove a value from the user's config.toml."""
    path, was_there = settings_module.unset_value(name, home=context.settings.home)
    note = f"`{name}` is no longer set in {path}" if was_there else f"nothing to do: `{name}` is not set in {path}"
    return Result(data={"file": str(path), "name": name, "changed": was_there}, notes=[note])


COMMANDS = {"show": show, "set": set_, "unset": unset}
