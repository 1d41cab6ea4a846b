"""`mimctl zoo`: the catalogue of models, made from packages and checked."""

from __future__ import annotations

from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.result import Line, Result, counted

_OUT = Path("index/zoo")
_SHOWN = 12


@verb(
    "import",
    examples=[
        "mimctl zoo import mmdet==3.3.0 --out index/zoo",
        "mimctl zoo import my_package --out index/zoo --toolbox mine",
        "mimctl zoo import ../mmdetection --source mmdet==3.3.0 --dry-run",
    ],
    target=True,
    uses=("python",),
)
@click.argument("package", metavar="DIR|PACKAGE[==VERSION]")
@click.option("--out", type=PATH, default=_OUT, show_default=True, metavar="DIR", help="The folder of the catalogue.")
@click.option("--toolbox", metavar="NAME", help="Whose models they are.  [default: our name of the package]")
@click.option("--source", metavar="NAME==VERSION", help="The release that holds the configs; wanted for a folder.")
@click.option("--buildable", multiple=True, metavar="MODEL", help="A model that the toolbox builds; repeatable.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
def import_(
    context: Context,
    package: str,
    out: Path,
    toolbox: str | None,
    source: str | None,
    buildable: tuple[str, ...],
    dry_run: bool,
) -> Result:
    """Bring the models of a package into the catalogue: an installed or a published one, or a folder with its files.

    Read is what mim's convention has: `model-index.yml` and the metafiles it names. What is irregular there is listed.
    """
    with context.output.transfer_view() as watch:
        done = api.zoo_import(
            package,
            out,
            toolbox=toolbox,
            source=source,
            buildable=buildable,
            dry_run=dry_run,
            watch=watch,
            settings=context.settings,
        )
    notes: list[Line] = [str(each) for each in done.findings[:_SHOWN]]
    if len(done.findings) > _SHOWN:
        notes.append(f"… and {len(done.findings) - _SHOWN} more: `--json` has them all")
    if dry_run:
        notes.append("dry run: nothing was written")
    return Result(
        data={
            "path": str(done.path),
            "models": len(done.entries),
            "without_config": sum(each.config is None for each in done.entries),
            "findings": [{"where": each.where, "what": each.what} for each in done.findings],
        },
        lines=[f"{counted(len(done.entries), 'model')} in {done.path}"],
        quiet=[str(done.path)],
        notes=notes,
    )


@verb("lint", examples=["mimctl zoo lint index/zoo", "mimctl zoo lint index/zoo/det.yaml", "mimctl zoo lint ../mmdet"])
@click.argument("path", type=PATH, metavar="FILE|DIR")
def lint(context: Context, path: Path) -> Result:
    """List what is irregular in a catalogue or in a package's metafiles: dead configs, names that come twice, addresses
    that cannot be. Exit code 1 where there is something."""
    found = api.zoo_lint(path)
    return Result(
        data={"findings": [{"where": each.where, "what": each.what} for each in found]},
        lines=[str(each) for each in found] or ["nothing is irregular"],
        quiet=[str(each) for each in found],
        exit_code=1 if found else 0,
    )


COMMANDS = {"import": import_, "lint": lint}
