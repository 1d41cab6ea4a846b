"""`mimctl wheels`: what is built and where it is verified; building, auditing and verifying it, in any project."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.output import Output
from mimctl.cli.result import Line, Result, table
from mimctl.errors import ExitCode

if TYPE_CHECKING:
    from mimctl.wheels.audits import Audited
    from mimctl.wheels.verify import Verified

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
        "mimctl wheels build ops-cu13-x86_64 --out wheels    # CUDA only where it is named",
    ],
)
@click.argument("names", metavar="[CELL|PROJECT]...", nargs=-1)
@click.option("--out", type=PATH, default=Path("wheels"), show_default=True, help="Where the wheels go.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Compilers at a time.")
@_MATRIX
def build(context: Context, names: tuple[str, ...], out: Path, jobs: int, matrix_path: Path) -> Result:
    """Build wheels: those of the named cells or projects, or all that this machine can build without CUDA."""
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


@verb(
    "audit",
    examples=[
        "mimctl wheels audit wheels/mimctl_ops-0.1.0+cpu-py3-none-manylinux_2_28_x86_64.whl",
        "mimctl wheels audit wheels --json",
    ],
)
@click.argument("paths", metavar="WHEEL|DIR...", nargs=-1, required=True, type=PATH)
@click.option(
    "--no-torch-abi", is_flag=True, help="Do without torch-abi-audit, which is downloaded where it is absent."
)
def audit(context: Context, paths: tuple[Path, ...], no_torch_abi: bool) -> Result:
    """Prove that finished wheels are what they say: libraries, symbols, glibc, oldest torch, code for GPUs."""
    found = api.audit_wheels(
        paths,
        with_torch_abi=not no_torch_abi,
        watch=_Notes(output=context.output),
        settings=context.settings,
    )
    head = ("wheel", "backend", "glibc", "torch", "calls torch", "archs", "ptx", "needs")
    return Result(
        data={"wheels": [each.to_dict() for each in found]},
        lines=table([_audit_row(each) for each in found], head=head),
        quiet=[each.report.filename for each in found],
    )


def _audit_row(audited: Audited) -> tuple[str, ...]:
    report, abi = audited.report, audited.torch_abi
    needs = sorted({needed for library in report.libraries for needed in library.libraries})
    return (
        report.filename,
        report.backend or "-",
        f">= {report.glibc}" if report.glibc else "-",
        _torch(report.min_torch),
        _torch(abi.min_torch) if abi else "not asked",
        ",".join(report.archs) or "-",
        ",".join(report.ptx) or "-",
        ",".join(needs) or "-",
    )


@verb(
    "verify",
    examples=[
        "mimctl wheels verify --wheels wheels",
        "mimctl wheels verify ops-cpu-x86_64 --wheels wheels",
        "mimctl wheels verify ops-cpu-x86_64-torch2.15.0-py3.11 --wheels wheels    # fetches that torch",
    ],
)
@click.argument("names", metavar="[CELL|BUILD]...", nargs=-1)
@click.option("--wheels", type=PATH, default=Path("wheels"), show_default=True, help="Where the built wheels are.")
@_MATRIX
def verify(context: Context, names: tuple[str, ...], wheels: Path, matrix_path: Path) -> Result:
    """Run the projects' tests with the built wheels, beside each torch and Python that is at hand."""
    from mimctl.wheels.verify import summarise_skipped

    found = api.verify_wheels(
        matrix_path, names, wheels=wheels, watch=_Notes(output=context.output), settings=context.settings
    )
    ran = [each for each in found if each.outcome != "skipped"]
    failed = [each for each in ran if each.outcome == "failed"]
    notes = summarise_skipped(found)
    for each in failed:
        notes += [f"{each.cell}: {each.reason}", *(f"  {line}" for line in each.lines)]
    notes += [] if ran else ["nothing was verified"]
    return Result(
        data={"cells": [{**asdict(each), "wheel": str(each.wheel) if each.wheel else None} for each in found]},
        lines=table([_verify_row(each) for each in ran]),
        quiet=[f"{each.outcome} {each.cell}" for each in ran],
        notes=notes,
        exit_code=int(ExitCode.FAILED) if failed else 0,
    )


def _verify_row(result: Verified) -> tuple[str, ...]:
    counts = {"passed": result.passed, "failed": result.failed, "skipped": result.skipped}
    return (
        result.outcome,
        result.cell,
        ", ".join(f"{count} {word}" for word, count in counts.items() if count) or result.reason or "",
        f"{result.seconds} s",
        f"torch {result.torch or 'none'}",
        f"python {result.python or 'none'}",
        (result.sha256 or "")[:16],
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


COMMANDS = {"matrix": matrix, "build": build, "audit": audit, "verify": verify}
