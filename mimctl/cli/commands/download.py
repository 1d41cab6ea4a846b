"""`mimctl download`: a model's config and weights, or a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, index_option, optional_plugin_argument, verb
from mimctl.cli.result import Line, Result
from mimctl.errors import UsageError


def _complete_data_set(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from mimctl.zoo.datasets.table import data_set_names  # most commands complete nothing

    return [name for name in data_set_names() if name.startswith(incomplete)]


@verb(
    "download",
    examples=[
        "mimctl download det --config rtmdet_s --dest .",
        "mimctl download det rtmdet_nano rtmdet_s",
        "mimctl download det --config rtmdet_s --mirror https://mirror.example.org/openmmlab",
        "mimctl download det --dataset coco2017 --part val,annotations",
        "mimctl download --dataset mnist --dest data/mnist",
    ],
    target=True,
)
@optional_plugin_argument
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--config", "configs", multiple=True, metavar="MODEL", help="A model, by its whole or short name.")
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=_complete_data_set,
    help="A data set in place of models: its name, or a TOML file that describes it.",
)
@click.option("--part", "parts", multiple=True, metavar="NAME", help="A part of the data set: val; repeatable.")
@click.option("--keep-archives", is_flag=True, help="Keep a data set's archives beside what they held.")
@click.option("--list-datasets", is_flag=True, help="List the data sets that have a name.")
@click.option(
    "--dest",
    type=PATH,
    metavar="DIR",
    help="Where config and weights go, or the data.  [default: the cache; for data where configs look for it]",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="[HOST=]ADDRESS",
    help="What stands for a host, or for all; repeatable.",
)
@index_option
def download(
    context: Context,
    plugin: str | None,
    names: tuple[str, ...],
    configs: tuple[str, ...],
    dataset: str | None,
    parts: tuple[str, ...],
    keep_archives: bool,
    list_datasets: bool,
    dest: Path | None,
    mirrors: tuple[str, ...],
) -> Result:
    """Fetch models of a toolbox's zoo and print the two paths of each, config and weights; or fetch a data set."""
    wanted = [*names, *(each for text in configs for each in text.split(",") if each)]
    settings = replace(context.settings, mirrors={**context.settings.mirrors, **read_mirrors(mirrors)})
    if list_datasets or dataset is not None:
        if wanted:
            raise UsageError("`--dataset` fetches no models", hints=["fetch them by a command of their own"])
        context = replace(context, settings=settings)
        return _data(context, plugin, None if list_datasets else dataset, dest, parts, keep_archives)
    if parts or keep_archives:
        raise UsageError("`--part` and `--keep-archives` are for `--dataset NAME`")
    if plugin is None:
        raise UsageError(
            "`mimctl download` wants a toolbox and the name of a model",
            code="missing-argument",
            hints=["for example `mimctl download det --config rtmdet_s`, or `mimctl download --dataset mnist`"],
        )
    if not wanted:
        raise UsageError(
            "`mimctl download` wants the name of a model",
            hints=[f"for example `mimctl download {plugin} --config NAME`"],
        )
    with context.output.transfer_view() as watch:
        found = api.download(plugin, wanted, dest=dest, watch=watch, settings=settings)
    lines: list[Line] = [str(path) for each in found for path in (each.config, each.checkpoint)]
    models = [
        {
            "name": each.name,
            "config": str(each.config),
            "checkpoint": str(each.checkpoint),
            "sha256": each.sha256,
            "check": each.check,
            "config_source": each.config_source,
            "needs_trust": each.needs_trust,
            "new": each.is_new,
        }
        for each in found
    ]
    notes: list[Line] = [] if any(each.is_new for each in found) else ["nothing to do"]
    notes += [
        f"`{each.config}` imports code of others: it needs `--trust-config`" for each in found if each.needs_trust
    ]
    return Result(data={"models": models}, lines=lines, quiet=lines, notes=notes)


def _data(
    context: Context, plugin: str | None, name: str | None, dest: Path | None, parts: tuple[str, ...], keeps: bool
) -> Result:
    """Fetch the data set `name`, or list all where it is None."""
    from mimctl.cli.commands.download_data import fetch_data, list_data

    if name is None:
        return list_data(context, plugin)
    chosen = [each for text in parts for each in text.split(",") if each]
    return fetch_data(context, plugin, name, dest=dest, parts=chosen, keep_archives=keeps)


def read_mirrors(texts: tuple[str, ...]) -> dict[str, str]:
    """Read `HOST=ADDRESS`, or an address alone that stands for every host."""
    from mimctl.zoo.mirrors import ANY_HOST

    found = {}
    for text in texts:
        host, equals, address = text.partition("=")
        if equals and "/" not in host:
            found[host] = address
        else:
            found[ANY_HOST] = text
    return found


COMMANDS = {"download": download}
