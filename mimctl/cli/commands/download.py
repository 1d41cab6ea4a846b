"""`mimctl download`: a model's config and weights, or a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from mimctl.cli.options import PATH, Context, index_option, optional_plugin_argument, verb
from mimctl.cli.result import Result
from mimctl.errors import UsageError


def _complete_data_set(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from mimctl.zoo.datasets.table import data_set_names  # most commands complete nothing

    return [name for name in data_set_names() if name.startswith(incomplete)]


@verb(
    "download",
    examples=[
        "mimctl download det --config rtmdet_s --dest .",
        "mimctl download det rtmdet_nano rtmdet_s",
        "mimctl download det rtmdet_s --bases --log --dest rtmdet",
        "mimctl download det rtmdet_s --from-cache --dest /scratch/run",
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
@click.option("--bases", is_flag=True, help="Keep the config's bases as files of their own, in DIR/configs.")
@click.option("--log", is_flag=True, help="Fetch the log of the training too, where one was published.")
@click.option("--from-cache", is_flag=True, help="Take models out of the cache alone; say what it lacks.")
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
    bases: bool,
    log: bool,
    from_cache: bool,
    mirrors: tuple[str, ...],
) -> Result:
    """Fetch models of a toolbox's zoo and print the two paths of each, config and weights; or fetch a data set."""
    wanted = [*names, *(each for text in configs for each in text.split(",") if each)]
    settings = replace(context.settings, mirrors=read_mirrors(mirrors, context.settings.mirrors))
    if list_datasets or dataset is not None:
        if wanted:
            raise UsageError("`--dataset` fetches no models", hints=["fetch them by a command of their own"])
        if bases or log or from_cache:
            raise UsageError("`--bases`, `--log` and `--from-cache` are for models")
        context = context._replace(settings=settings)
        return _data(context, plugin, None if list_datasets else dataset, dest, parts, keep_archives)
    from mimctl.cli.commands.download_models import fetch_models

    if parts or keep_archives:
        raise UsageError("`--part` and `--keep-archives` are for `--dataset NAME`")
    if plugin is None:
        raise UsageError(
            "`mimctl download` wants a toolbox and the name of a model",
            code="missing-argument",
            hints=["for example `mimctl download det --config rtmdet_s`, or `mimctl download --dataset mnist`"],
        )
    if not wanted:
        raise UsageError("`mimctl download` wants the name of a model", hints=[_instead(plugin)])
    context = context._replace(settings=settings)
    return fetch_models(context, plugin, wanted, dest=dest, bases=bases, log=log, from_cache=from_cache)


def _data(
    context: Context, plugin: str | None, name: str | None, dest: Path | None, parts: tuple[str, ...], keeps: bool
) -> Result:
    """Fetch the data set `name`, or list all where it is None."""
    from mimctl.cli.commands.download_data import fetch_data, list_data

    if name is None:
        return list_data(context, plugin)
    chosen = [each for text in parts for each in text.split(",") if each]
    return fetch_data(context, plugin, name, dest=dest, parts=chosen, keep_archives=keeps)


def _instead(word: str) -> str:
    """Return what to type where `mimctl download WORD` names nothing to fetch."""
    from mimctl.zoo.datasets.table import find_data_set

    if (found := find_data_set(word)) is not None:
        return f"`{word}` is a data set: `mimctl download --dataset {found.name}`"
    return f"for example `mimctl download {word} --config NAME`: the toolbox stands before a model"


def read_mirrors(texts: tuple[str, ...], known: Mapping[str, str]) -> dict[str, str]:
    """Read `HOST=ADDRESS`, or an address alone that stands for every host, also for those `known` by a setting.

    Raises UsageError where there is no address.
    """
    from mimctl.zoo.mirrors import ANY_HOST

    found = {}
    for text in texts:
        host, equals, address = text.partition("=")
        if not (address if equals and "/" not in host else text).strip():
            raise UsageError(
                f"`--mirror '{text}'` names no address", hints=["for example `--mirror https://mirror.example.org`"]
            )
        if equals and "/" not in host:
            found[host] = address
        else:
            found[ANY_HOST] = text
    return found if ANY_HOST in found else {**known, **found}


COMMANDS = {"download": download}
