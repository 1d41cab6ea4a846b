"""`mimctl lock`: what is asked for, resolved for one or several environments, as a `pylock.toml`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.install_options import find_links_option
from mimctl.cli.options import PATH, Context, index_option, verb
from mimctl.cli.result import Line, Result, Styled, table
from mimctl.errors import Origin, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimctl.installer.locking.make import Locked
    from mimctl.settings import Settings

_VERSION = re.compile(r"\d+(\.\d+)+")
_PLACE = re.compile(r"(linux|macos)-\w+-\w.*")


@verb(
    "lock",
    examples=[
        "mimctl lock det",
        "mimctl lock det --for linux-x86_64-cu13 linux-x86_64-cpu --python 3.11 3.12",
        "mimctl lock -r requirements.txt --torch 2.13.0+cpu",
        "mimctl lock --upgrade",
    ],
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("-r", "--requirement", "files", multiple=True, metavar="FILE", help="A file of requirements; repeatable.")
@click.option(
    "--for",
    "places",
    multiple=True,
    metavar="SYSTEM-MACHINE-ACCELERATOR...",
    help="An environment to lock for, as linux-x86_64-cu13; several after one flag, or the flag again.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="VERSION|PATH...",
    help="Versions of Python to lock for; a path is the interpreter to look at.",
)
@click.option("-o", "--out", type=PATH, metavar="FILE", help="The lock file.  [default: pylock.toml]")
@index_option
@find_links_option
@click.option("--torch", metavar="auto|VERSION|none", help="Which torch, where the environment does not say.")
@click.option("--variant", metavar="NAME", help="Take this build of the ops (cpu, cu13, python).")
@click.option("-U", "--upgrade", is_flag=True, help="Keep nothing only because it is locked.")
@click.option("-P", "--upgrade-package", "upgrade_names", multiple=True, metavar="NAME", help="Renew this one.")
@click.option("--pre", is_flag=True, help="Pre-releases are as good as finished releases.")
@click.option("--offline", is_flag=True, help="Use caches only, never the network.")
@click.option("--dry-run", is_flag=True, help="Print what would change, write nothing.")
def lock(
    context: Context,
    names: tuple[str, ...],
    files: tuple[str, ...],
    places: tuple[str, ...],
    pythons: tuple[str, ...],
    out: Path | None,
    find_links: tuple[str, ...],
    torch: str | None,
    variant: str | None,
    upgrade: bool,
    upgrade_names: tuple[str, ...],
    pre: bool,
    dry_run: bool,
) -> Result:
    """Write what NAMEs (det) need to pylock.toml (PEP 751): every wheel with its address and hash.

    Without NAMEs, what the lock that is there was made for. Without `--for` and `--python`, for the environments that
    it covers, else for this machine. What is locked stays where it still serves.
    """
    from mimctl.installer.locking.requests import LockOptions

    names, places, pythons = split_words(names, places, pythons)
    settings, versions = split_pythons(context.settings, pythons)
    options = LockOptions(
        environments=places,
        pythons=versions,
        requirement_files=files,
        find_links=find_links,
        torch=torch,
        variant=variant,
        upgrade=upgrade,
        upgrade_names=upgrade_names,
        pre=pre,
    )
    with context.output.transfer_view() as watch:
        found = api.lock(names, options, path=out or api.LOCK_FILE, dry_run=dry_run, watch=watch, settings=settings)
    return _result(found, dry_run=dry_run)


def split_words(
    names: Sequence[str], places: Sequence[str], pythons: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return names, environments and Pythons: what follows the first value of a flag arrives among the names."""
    more_pythons = [name for name in names if pythons and _VERSION.fullmatch(name)]
    more_places = [name for name in names if places and _PLACE.fullmatch(name)]
    left = [name for name in names if name not in more_pythons and name not in more_places]
    return tuple(left), (*places, *more_places), (*pythons, *more_pythons)


def split_pythons(settings: Settings, words: Sequence[str]) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with the interpreter that `words` name, if they do, and the versions among them."""
    versions = tuple(word for word in words if _VERSION.fullmatch(word))
    paths = [word for word in words if word not in versions]
    if len(paths) > 1:
        raise UsageError(
            f"`--python {paths[1]}` is a second interpreter",
            causes=[f"the first is `{paths[0]}`, and one is looked at"],
        )
    if paths:
        origins = {**settings.origins, "python": Origin(file="--python")}
        settings = replace(settings, python=Path(paths[0]).expanduser(), origins=origins)
    return settings, versions


def _result(found: Locked, *, dry_run: bool) -> Result:
    from mimctl.installer.locking.make import changes_of, plain_changes

    changes = changes_of(found)
    data = {
        "path": str(found.path),
        "changed": found.is_changed,
        "environments": [str(cell) for cell in found.contents],
        "changes": plain_changes(changes),
        "dry_run": dry_run,
    }
    notes: list[Line] = [Styled(f"note: {note}", "yellow") for note in found.notes]
    if not found.is_changed:
        return Result(data=data, lines=[f"{found.path.name} is up to date"], notes=notes)
    lines: list[Line] = []
    for cell, files in found.contents.items():
        own = [each for each in changes if each.environment == str(cell)]
        lines.append(Styled(f"{cell}: {len(files)} wheels, {len(own)} changed", "bold"))
        lines += table([("", each.name, _words(each.before, each.after)) for each in own])
    if dry_run:
        notes.append("dry run: nothing was written")
    else:
        lines.append(Styled(f"wrote {found.path.name}", "green"))
    return Result(data=data, lines=lines, quiet=[] if dry_run else [str(found.path)], notes=notes)


def _words(before: str | None, after: str | None) -> str:
    if before is None:
        return after or ""
    return f"{before} -> {after}" if after else f"{before} -> gone"


COMMANDS = {"lock": lock}
