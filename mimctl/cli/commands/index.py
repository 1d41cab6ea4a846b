"""`mimctl index`: turn wheels and zoo sources into a static index, withdraw wheels of it."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.result import Line, Result
from mimctl.errors import UsageError, counted

_ZOO = Path("index/zoo")
_TOOLBOXES = Path("index/toolboxes.yaml")
_MATRIX = Path("wheels-matrix.yaml")


@verb(
    "build",
    examples=[
        "mimctl index build --wheels wheels --out site",
        "mimctl index build --wheels wheels --out site --zoo index/zoo --matrix wheels-matrix.yaml",
        "mimctl index build --wheels new --from https://wheels.example.org --out site    # what is published, and more",
        "mimctl index build --zoo index/zoo --out site    # models alone",
        "python -m http.server --directory site    # serves it to pip, uv and mimctl",
    ],
)
@click.option("--wheels", type=PATH, multiple=True, metavar="DIR", help="A folder of wheels; repeatable.")
@click.option(
    "--from",
    "others",
    multiple=True,
    metavar="ADDRESS",
    help="An index (folder or URL) whose wheels and models it holds too; repeatable.",
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The index; one that is there is replaced whole.")
@click.option("--zoo", type=PATH, metavar="DIR", help=f"Folder of zoo files.  [default: {_ZOO} where it is]")
@click.option(
    "--toolboxes", type=PATH, metavar="FILE", help=f"Names of toolboxes.  [default: {_TOOLBOXES} where it is]"
)
@click.option(
    "--matrix", type=PATH, metavar="FILE", help=f"Says which torch is verified.  [default: {_MATRIX} where it is]"
)
@click.option(
    "--verified",
    type=PATH,
    multiple=True,
    metavar="FILE|DIR",
    help="What `mimctl wheels verify --json` printed, for the pages; repeatable.",
)
def build(
    context: Context,
    wheels: tuple[Path, ...],
    others: tuple[str, ...],
    out: Path,
    zoo: Path | None,
    toolboxes: Path | None,
    matrix: Path | None,
    verified: tuple[Path, ...],
) -> Result:
    """Turn wheels and zoo sources into a static index that pip, uv and mimctl can install from.

    With `--zoo` alone it is an index of models.
    """
    if not (wheels or others or zoo):
        from mimctl.site.sources import no_wheels

        raise no_wheels()
    with context.output.transfer_view() as watch:
        report = api.build_index(
            wheels,
            out,
            others=others,
            zoo=zoo or (_ZOO if _ZOO.is_dir() else None),
            toolboxes=toolboxes or (_TOOLBOXES if _TOOLBOXES.is_file() else None),
            matrix=matrix or (_MATRIX if _MATRIX.is_file() else None),
            verified=verified,
            watch=watch,
            settings=context.settings,
        )
    models = sum(report.models.values())
    holds = (
        counted(len(report.files), "wheel"),
        counted(len(report.toolboxes), "toolbox", "toolboxes"),
        counted(models, "model"),
    )
    notes: list[Line] = [
        *(f"left out {path.name}: an index holds wheels, no source distributions" for path in report.left_out),
        *(f"warning: pip and uv do not see {name}: its label is no backend" for name in report.unlisted),
        f"use it: `mimctl settings set index {shlex.quote(str(report.out))}`",
    ]
    return Result(
        data={
            "out": str(report.out),
            "files": list(report.files),
            "yanked": list(report.yanked),
            "left_out": [str(path) for path in report.left_out],
            "unlisted": list(report.unlisted),
            "toolboxes": list(report.toolboxes),
            "models": dict(report.models),
            "torch_verified": report.torch_verified,
            "verified": list(report.verified),
        },
        lines=[f"{', '.join(holds)} in {report.out}"],
        quiet=[str(report.out)],
        notes=notes,
    )


@verb(
    "yank",
    examples=[
        'mimctl index yank site/files/mimctl_ops-0.1.0-py3-none-any.whl --reason "wrong gradients of nms"',
        "mimctl index yank mimctl_ops-0.1.0-py3-none-any.whl --out site",
        "mimctl index yank mimctl_ops-0.1.0-py3-none-any.whl --out site --undo",
    ],
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Why; installers show it to those who pin the version.")
@click.option("--undo", is_flag=True, help="Bring it back.")
@click.option("--out", type=PATH, metavar="DIR", help="The folder of the index.  [default: the one FILE lies in]")
def yank(context: Context, files: tuple[str, ...], reason: str, undo: bool, out: Path | None) -> Result:
    """Withdraw wheels: they stay for those who pin them, nobody else is given them."""
    if undo and reason:
        raise UsageError("`--undo` takes no `--reason`", hints=["leave one of the two out"])
    site = out or _site_of(files)
    with context.output.transfer_view() as watch:
        report = api.yank_wheels(
            site,
            [Path(file).name for file in files],
            reason=reason,
            undo=undo,
            watch=watch,
            settings=context.settings,
        )
    done = "brought back" if undo else "withdrew"
    return Result(
        data={
            "out": str(report.site),
            "changed": list(report.changed),
            "unchanged": list(report.unchanged),
            "reason": report.reason,
        },
        lines=[f"{done} {name}" for name in report.changed],
        quiet=list(report.changed),
        notes=[f"nothing to do for {name}" for name in report.unchanged],
    )


@verb("serve", examples=["mimctl index serve site", "mimctl index serve site --port 8000 --open"])
@click.argument("site", type=PATH, metavar="DIR")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Its port.  [default: a free one]")
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
def serve(context: Context, site: Path, port: int, opens: bool) -> Result:
    """Serve an index to this machine until Ctrl-C: its pages for people, and all that pip, uv and mimctl read."""
    from mimctl.site.serve import serving

    with serving(site.expanduser().absolute(), port) as (address, server):
        context.output.note(f"serving {site}; Ctrl-C ends it")
        if not context.output.json:
            click.echo(address)
        if opens:
            import webbrowser

            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return Result(data={"address": address})


def _site_of(files: tuple[str, ...]) -> Path:
    """Return the index that paths of wheels lie in, `<index>/files/<wheel>`; raise UsageError for bare names."""
    folders = {Path(file).parent for file in files}
    folder = folders.pop()
    if folders or folder.name != "files":
        raise UsageError(
            "which index holds the wheel?",
            hints=["name it: `--out DIR`", f"or the wheel by its path: `DIR/files/{Path(files[0]).name}`"],
        )
    return folder.parent


COMMANDS = {"build": build, "yank": yank, "serve": serve}
