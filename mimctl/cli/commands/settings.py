"""`mimctl settings`: show and change the settings of mimctl itself."""

from __future__ import annotations

from pathlib import Path

import click

from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table
from mimctl.errors import UsageError, counted
from mimctl.settings import Settings, changing
from mimctl.settings.clusters import flat
from mimctl.settings.files import project_file
from mimctl.settings.keys import KEYS, known


@verb(
    "show",
    examples=["mimctl settings show", "mimctl settings show --origin", "mimctl settings show index"],
    uses=(),
)
@click.argument("name", required=False)
@click.option("--origin", "with_origin", is_flag=True, help="Say where each value comes from.")
def show(context: Context, name: str | None, with_origin: bool) -> Result:
    """Print the settings, or one of them."""
    settings = context.settings
    names = _names(settings, known(name) if name else None)
    waiting = {each.name for each in settings.not_accepted}
    rows = [(each, shown(_value(settings, each)), _origin(settings, each)) for each in names]
    if name in names and not with_origin:
        return Result(data=_data(settings, names), lines=[rows[0][1]], quiet=[rows[0][1]])
    return Result(
        data=_data(settings, names),
        lines=table(rows if with_origin else [row[:2] for row in rows]),
        quiet=[f"{key} = {value}" for key, value, _ in rows],
        notes=["not accepted yet: `mimctl settings trust`"] if waiting & set(names) else [],
    )


def _names(settings: Settings, name: str | None) -> list[str]:
    """Return the settings that are meant, all where none is named; what is set for clusters is listed key by key."""
    all_of = [
        each for key in KEYS for each in ((list(flat(settings.clusters)) or [key]) if key == "clusters" else [key])
    ]
    return (
        all_of if name is None else [each for each in all_of if each == name or each.startswith(f"{name}.")] or [name]
    )


def _value(settings: Settings, name: str) -> object:
    if name.startswith("mirrors."):
        return settings.mirrors.get(name.removeprefix("mirrors."))
    if name.startswith("clusters"):
        return flat(settings.clusters).get(name)
    return getattr(settings, name)


def _origin(settings: Settings, name: str) -> str:
    is_waiting = any(each.name == name for each in settings.not_accepted)
    return f"({settings.origin(name)}{', not accepted' if is_waiting else ''})"


def _data(settings: Settings, names: list[str]) -> dict[str, object]:
    return {
        "settings": {
            name: {
                "value": plain(_value(settings, name)),
                "origin": str(settings.origin(name)),
                "accepted": all(each.name != name for each in settings.not_accepted),
            }
            for name in names
        }
    }


def plain(value: object) -> object:
    """Return a setting's value as JSON data, without the passwords that addresses may carry."""
    from mimctl.transfer import redact

    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    return redact(value) if isinstance(value, str) else value


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


@verb(
    "set",
    examples=[
        "mimctl settings set index https://example.org/mimctl",
        "mimctl settings set mirrors.download.openmmlab.com https://mirror.example.org/openmmlab",
        "mimctl settings set offline true",
        "mimctl settings set clusters.alpha.partition gpu",
        "mimctl settings set clusters.alpha.sbatch_args -- --constraint=a100",
        "mimctl settings set clusters.alpha.setup 'module load cuda/13' 'export NCCL_SOCKET_IFNAME=ib0'",
    ],
    reads_files=False,
)
@click.argument("name")
@click.argument("values", nargs=-1, required=True)
def set_(context: Context, name: str, values: tuple[str, ...]) -> Result:
    """Set a value in the user's config.toml."""
    path = changing.set_value(name, values, home=context.settings.home)
    return Result(data={"file": str(path), "name": name}, notes=[f"`{name}` is set in {path}"])


@verb("unset", examples=["mimctl settings unset index"], reads_files=False)
@click.argument("name")
def unset(context: Context, name: str) -> Result:
    """Remove a value from the user's config.toml."""
    path, was_there = changing.unset_value(name, home=context.settings.home)
    note = f"`{name}` is no longer set in {path}" if was_there else f"nothing to do: `{name}` is not set in {path}"
    return Result(data={"file": str(path), "name": name, "changed": was_there}, notes=[note])


@verb("trust", examples=["mimctl settings trust", "mimctl settings trust --undo"], uses=())
@click.option("--undo", is_flag=True, help="Forget what was accepted for this folder.")
def trust(context: Context, undo: bool) -> Result:
    """Accept what the project's file sets, or take that back: another value is asked for anew."""
    from mimctl.consent import accept, take_back

    settings = context.settings
    project = project_file(Path.cwd())
    if project is None:
        raise UsageError("there is no project's file here or above", code="settings", hints=_WHERE)
    if undo:
        number = take_back(project.parent, settings.home)
        note = (
            f"no longer accepted: {counted(number, 'value')} of {project}"
            if number
            else "nothing to do: none was accepted"
        )
        return Result(data={"file": str(project), "changed": bool(number)}, notes=[note])
    requests = settings.not_accepted
    if not requests:
        note = f"nothing to do: {project} sets nothing that has to be accepted"
        return Result(data={"file": str(project), "changed": False, "accepted": {}}, notes=[note])
    kept = accept(requests, settings.home)
    rows = [(each.name, shown(each.value), f"({each.origin})") for each in requests]
    return Result(
        data={"file": str(project), "changed": True, "accepted": {each.name: plain(each.value) for each in requests}},
        lines=table(rows),
        quiet=[],
        notes=[f"accepted for {project.parent}, remembered in {kept}"],
    )


_WHERE = ("settings of a project stand in `mimctl.toml`, or in `[tool.mimctl]` of its `pyproject.toml`",)


COMMANDS = {"show": show, "set": set_, "unset": unset, "trust": trust}
