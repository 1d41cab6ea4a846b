"""`mimctl port`: move custom modules to mimctl's names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import MimctlError, counted

if TYPE_CHECKING:
    from mimctl.porting.files import Porting
    from mimctl.porting.rewrite import Ported

_STYLES = {"+++": "bold", "---": "bold", "@": "cyan", "+": "green", "-": "red"}


@verb(
    "port",
    examples=["mimctl port my_toolbox", "mimctl port my_toolbox --write", "mimctl port losses.py hooks.py --check"],
    target=True,
    uses=("python",),
)
@click.argument("places", nargs=-1, required=True, type=PATH, metavar="FILE|DIR...")
@click.option("--write", is_flag=True, help="Change the files, each whole or not at all.")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 where something is to be ported or mended.")
def port(context: Context, places: tuple[Path, ...], write: bool, check: bool) -> Result:
    """Rewrite imports of mmengine, mmcv and the toolboxes to mimctl's names.

    Without --write the changes are printed as a unified diff. What has no counterpart is listed with file and line.
    Nothing that is ported is imported.
    """
    from mimctl.porting.diff import unified

    if write and check:
        raise click.UsageError("--write and --check exclude each other")
    porting = api.port(places, write=write, settings=context.settings)
    folder = Path.cwd()
    diff = unified(porting.changed, folder)
    lines: list[Line] = []
    if write or check:
        lines += [f"{'ported' if write else 'to port'}: {each.path} ({_count(each)})" for each in _done(porting)]
    else:
        lines += [_styled(line) for line in diff.replace("\r\n", "\n").split("\n")[:-1]]
    is_open = bool(porting.changed) or any(each.left for each in porting.files)
    return Result(
        data={"written": write, "seen": porting.seen, "diff": diff, **_data(porting, folder)},
        lines=lines,
        quiet=lines,
        closing=_closing(porting, places, is_written=write, is_check=check),
        exit_code=1 if porting.refused or (check and is_open) else 0,
    )


def _done(porting: Porting) -> list[Ported]:
    """Return the changed files that were not refused when they were written."""
    refused = {each.origin.file for each in porting.refused if each.origin is not None}
    return [each for each in porting.changed if each.path not in refused]


def _count(ported: Ported) -> str:
    return counted(len(ported.moved), "name")


def _styled(line: str) -> Line:
    style = next((style for start, style in _STYLES.items() if line.startswith(start)), None)
    return Styled(line, style) if style else line


def _data(porting: Porting, folder: Path) -> dict[str, Any]:
    from mimctl.porting.diff import unified

    files = [
        {
            "path": each.path,
            "changed": each.after != each.before,
            "diff": unified([each], folder),
            "moved": [{"line": item.line, "old": item.old, "new": item.new} for item in each.moved],
            "left": [
                {"line": item.line, "name": item.name, "reason": item.reason, "near": list(item.near)}
                for item in each.left
            ],
            "notes": [{"line": item.line, "text": item.text} for item in each.notes],
        }
        for each in porting.files
    ]
    return {"files": files, "refused": [each.to_dict() for each in porting.refused], "links": list(porting.links)}


def _closing(porting: Porting, places: tuple[Path, ...], *, is_written: bool, is_check: bool) -> list[Line]:
    notes: list[Line] = []
    for each in porting.files:
        for item in each.left:
            near = f"; near it: {', '.join(f'`{name}`' for name in item.near)}" if item.near else ""
            notes.append(Styled(f"left {each.path}:{item.line}: `{item.name}`: {item.reason}{near}", "yellow"))
        notes += [f"note {each.path}:{item.line}: {item.text}" for item in each.notes]
    notes += [f"note {link}: a link, left alone" for link in porting.links]
    notes += [_refusal(error) for error in porting.refused]
    left = sum(len(each.left) for each in porting.files)
    num_changed = len(_done(porting)) if is_written else len(porting.changed)
    if not porting.seen:
        return [*notes, "no Python file is there"]
    files = counted(porting.seen, "file")
    told = f"{num_changed} of {files} {'changed' if is_written else 'to change'}"
    told += f", {counted(left, 'name')} without a counterpart" if left else ""
    told += f", {counted(len(porting.refused), 'file')} refused" if porting.refused else ""
    notes.append(Styled(told, "bold"))
    if porting.changed and not is_written and not is_check:
        notes.append(f"hint: change the files: `mimctl port --write {' '.join(map(str, places))}`")
    return notes


def _refusal(error: MimctlError) -> Line:
    reason = error.message.partition(": ")[2] or error.message
    return Styled(f"refused {error.origin}: {reason}", "red")


COMMANDS = {"port": port}
