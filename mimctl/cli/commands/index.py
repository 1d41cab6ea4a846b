"""`mimctl index`: turn wheels and zoo sources into a static index."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.result import Result

_ZOO = Path("index/zoo")
_TOOLBOXES = Path("index/toolboxes.yaml")
_MATRIX = Path("wheels-matrix.yaml")


@verb(
    "build",
    examples=[
        "mimctl index build --wheels wheels --out site",
        "mimctl index build --wheels wheels --out site --zoo index/zoo --matrix wheels-matrix.yaml",
        "python -m http.server --directory site    # serves it to pip, uv and mimctl",
    ],
)
@click.option(
    "--wheels", type=PATH, multiple=True, required=True, metavar="DIR", help="A folder of wheels; repeatable."
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The index; one that is there is replaced whole.")
@click.option("--zoo", type=PATH, metavar="DIR", help=f"Folder of zoo files.  [default: {_ZOO} where it is]")
@click.option(
    "--toolboxes", type=PATH, metavar="FILE", help=f"Names of toolboxes.  [default: {_TOOLBOXES} where it is]"
)
@click.option(
    "--matrix", type=PATH, metavar="FILE", help=f"Says which torch is verified.  [default: {_MATRIX} where it is]"
)
def build(
    context: Context,
    wheels: tuple[Path, ...],
    out: Path,
    zoo: Path | None,
    toolboxes: Path | None,
    matrix: Path | None,
) -> Result:
    """Turn wheels and zoo sources into a static index that pip, uv and mimctl can install from."""
    report = api.build_index(
        wheels,
        out,
        zoo=zoo or (_ZOO if _ZOO.is_dir() else None),
        toolboxes=toolboxes or (_TOOLBOXES if _TOOLBOXES.is_file() else None),
        matrix=matrix or (_MATRIX if _MATRIX.is_file() else None),
    )
    models = sum(report.models.values())
    return Result(
        data={
            "out": str(report.out),
            "files": list(report.files),
            "toolboxes": list(report.toolboxes),
            "models": dict(report.models),
            "torch_verified": report.torch_verified,
        },
        lines=[f"{len(report.files)} wheels, {len(report.toolboxes)} toolboxes, {models} models in {report.out}"],
        quiet=[str(report.out)],
        notes=[f"use it: `mimctl settings set index {shlex.quote(str(report.out))}`"],
    )


COMMANDS = {"build": build}
