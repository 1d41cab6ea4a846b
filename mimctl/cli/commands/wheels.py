"""`mimctl wheels`: what is built and where it is verified, and building it; works in any project with a matrix file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.output import Output
from mimctl.cli.result import Line, Result, table

_MATRIX = click.option(
    "--matrix",
    "matrix_path",
    type=PATH,
    default=Path("wheels-matrix.yaml"),
    show_default=True,
    help="The matrix file.",
)


@verb(
    "matrix",
    examples=[
        "mimctl wheels matrix",
        "mimctl wheels matrix verify",
        'echo "matrix=$(mimctl wheels matrix build --json)" >> "$GITHUB_OUTPUT"',
    ],
)
@click.argument("kind", type=click.Choice(["build", "verify"]), default="build")
@_MATRIX
def matrix(context: Context, kind: str, matrix_path: Path) -> Result:
    """Print the cells of the build (default) or verify matrix; with --json as GitHub Actions takes it, on one line."""
    from mimctl.wheels.matrix import to_github

    found = api.expand_matrix(matrix_path)
    lines: list[Line]
    if kind == "build":
        head = ("cell", "project", "platform", "backend", "torch", "runner")
        rows = [
            (cell.name, cell.project, cell.platform, cell.backend or "-", _torch(cell.target_torch), cell.runner)
            for cell in found.builds
        ]
        lines, document = table(rows, head=head), to_github(found.builds)
    else:
        verify_rows = [(cell.name, cell.build, cell.torch, cell.python, cell.runner) for cell in found.verifies]
        lines = table(verify_rows, head=("cell", "build", "torch", "python", "runner"))
        document = to_github(found.verifies)
    names = [cell.name for cell in (found.builds if kind == "build" else found.verifies)]
    return Result(lines=lines, quiet=names, document=document)


def _torch(target: str | None) -> str:
    return f">= {target}" if target else "-"


@verb(
    "build",
    examples=[
        "mimctl wheels build --out wheels",
        "mimctl wheels build mimctl-ops --out wheels",
        "mimctl wheels build ops-python --out wheels",
    ],
)
@click.argument("names", metavar="[CELL|PROJECT]...", nargs=-1)
@click.option("--out", type=PATH, default=Path("wheels"), show_default=True, help="Where the wheels go.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Compilers at a time.")
@_MATRIX
def build(context: Context, names: tuple[str, ...], out: Path, jobs: int, matrix_path: Path) -> Result:
    """Build wheels: those of the named cells or projects, or all that this machine can build."""
    report = api.build_wheels(
        matrix_path, names, out=out, jobs=jobs, watch=_Notes(output=context.output), settings=context.settings
    )
    rows = [
        (each.project, each.version, each.backend or "-", each.path, f"{each.size / 1000:.1f} kB", each.sha256[:16])
        for each in report.wheels
    ]
    wheels = [{**asdict(each), "path": str(each.path)} for each in report.wheels]
    return Result(
        data={"wheels": wheels, "skipped": [asdict(each) for each in report.skipped]},
        lines=table(rows),
        quiet=[str(each.path) for each in report.wheels],
        notes=[f"note: {each.path.name} {each.note}" for each in report.wheels if each.note],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notes:
    """Prints what a build tells while it goes."""

    output: Output

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Draw nothing: pip transfers the files."""

    def note(self, text: str) -> None:
        """Print one line."""
        self.output.note(text)


COMMANDS = {"matrix": matrix, "build": build}
