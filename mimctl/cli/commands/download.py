"""`mimctl download`: a model's config and weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, index_option, plugin_argument, verb
from mimctl.cli.result import Line, Result
from mimctl.errors import UsageError


@verb(
    "download",
    examples=[
        "mimctl download det --config rtmdet_s --dest .",
        "mimctl download det rtmdet_nano rtmdet_s",
        "mimctl download det --config rtmdet_s --mirror https://mirror.example.org/openmmlab",
        "mimctl download mmdet --dataset coco2017",
    ],
    target=True,
)
@plugin_argument
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--config", "configs", multiple=True, metavar="MODEL", help="A model, by its whole or short name.")
@click.option("--dataset", metavar="NAME", help="A data set that the package names, in place of models.")
@click.option("--dest", type=PATH, metavar="DIR", help="Where config and weights go.  [default: the cache]")
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
    plugin: str,
    names: tuple[str, ...],
    configs: tuple[str, ...],
    dataset: str | None,
    dest: Path | None,
    mirrors: tuple[str, ...],
) -> Result:
    """Fetch models of a toolbox's zoo and print the two paths of each: its config, its weights."""
    wanted = [*names, *(each for text in configs for each in text.split(",") if each)]
    if dataset is not None:
        if wanted:
            raise UsageError("`--dataset` fetches no models", hints=["fetch them by a command of their own"])
        return _dataset(context, plugin, dataset, dest)
    if not wanted:
        raise UsageError(
            "`mimctl download` wants the name of a model",
            hints=[f"for example `mimctl download {plugin} --config NAME`"],
        )
    settings = replace(context.settings, mirrors={**context.settings.mirrors, **read_mirrors(mirrors)})
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


def _dataset(context: Context, package: str, name: str, dest: Path | None) -> Result:
    from mimctl.cli.commands.script_verb import error_stream

    stdout = error_stream() if context.output.json else None
    with context.output.transfer_view() as watch:
        plan = api.download_dataset(package, name, dest=dest, stdout=stdout, watch=watch, settings=context.settings)
    path = str(plan.data_dir)
    data: dict[str, object] = {"dataset": plan.name, "source": plan.source, "raw": str(plan.raw_dir), "data": path}
    return Result(data=data, lines=[path], quiet=[path])


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
