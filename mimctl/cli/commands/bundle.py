"""`mimctl bundle`: all that an installation needs in one folder, for machines without a network."""

from __future__ import annotations

from pathlib import Path

import click

from mimctl import api
from mimctl.cli.commands.lock import split_pythons, split_words
from mimctl.cli.install_options import find_links_option
from mimctl.cli.options import PATH, Context, index_option, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import UsageError


@verb(
    "bundle",
    examples=[
        "mimctl bundle usb/det det",
        "mimctl bundle usb/det det --for linux-x86_64-cu13 linux-x86_64-cpu --python 3.11 3.12",
        "mimctl bundle usb/det --lock pylock.toml --config rtmdet_tiny_8xb32-300e_coco --dataset data/balloons",
        "mimctl bundle usb/cls cls --dataset mnist",
        "sh usb/det/install.sh    # there, without a network",
    ],
)
@click.argument("out", type=PATH, metavar="DIR")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--lock", "lock_file", type=PATH, metavar="FILE", help="Bundle what this lock file has.")
@click.option(
    "--for",
    "places",
    multiple=True,
    metavar="SYSTEM-MACHINE-ACCELERATOR...",
    help="An environment to bundle for, as linux-x86_64-cu13; several after one flag, or the flag again.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="VERSION|PATH...",
    help="Versions of Python to bundle for; a path is the interpreter to look at.",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="NAME",
    help="Carry the weights of this config: those that it names, and those of its model in the zoo.",
)
@click.option("--weights", multiple=True, metavar="ADDRESS", help="Carry these weights.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="DIR|NAME",
    help="Carry this folder of data, or a published data set by its name.",
)
@index_option
@find_links_option
@click.option("--torch", metavar="auto|VERSION|none", help="Which torch, where the environment does not say.")
@click.option("--variant", metavar="NAME", help="Take this build of the ops (cpu, cu13, python).")
@click.option("--offline", is_flag=True, help="Use caches only, never the network.")
def bundle(
    context: Context,
    out: Path,
    names: tuple[str, ...],
    lock_file: Path | None,
    places: tuple[str, ...],
    pythons: tuple[str, ...],
    configs: tuple[str, ...],
    weights: tuple[str, ...],
    datasets: tuple[str, ...],
    find_links: tuple[str, ...],
    torch: str | None,
    variant: str | None,
) -> Result:
    """Write a folder from which NAMEs (det) install where there is no network: mimctl, torch, wheels, weights, data."""
    from mimctl.installer.locking.requests import LockOptions

    names, places, pythons = split_words(names, places, pythons)
    if lock_file is not None and (names or places or pythons):
        raise UsageError(
            "a lock says itself what it is for", hints=["leave out names, `--for` and `--python` beside `--lock`"]
        )
    if lock_file is None and not names:
        raise UsageError(
            "nothing to bundle was named",
            code="missing-argument",
            hints=["name toolboxes: `mimctl bundle DIR det`", "or a lock: `mimctl bundle DIR --lock pylock.toml`"],
        )
    settings, versions = split_pythons(context.settings, pythons)
    options = LockOptions(environments=places, pythons=versions, find_links=find_links, torch=torch, variant=variant)
    extras = api.Extras(configs=configs, weights=weights, datasets=datasets)
    with context.output.transfer_view() as watch:
        report = api.bundle(out, names, options, lock_file=lock_file, extras=extras, watch=watch, settings=settings)
    data = {
        "path": str(report.path),
        "environments": list(report.environments),
        "files": report.num_files,
        "size": report.size,
        "sha256": report.sha256,
    }
    lines: list[Line] = [
        *(f"for {each}" for each in report.environments),
        f"{report.num_files} files, {report.size / 2**20:.1f} MiB; sha256 of manifest.json {report.sha256}",
        Styled(f"wrote {out}: install from it with `sh {out / 'install.sh'}`", "green"),
    ]
    return Result(data=data, lines=lines, quiet=[str(report.path)])


COMMANDS = {"bundle": bundle}
