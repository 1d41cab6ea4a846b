"""What `mimctl download --dataset` and `--list-datasets` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mimctl import api
from mimctl.cli.options import Context
from mimctl.cli.result import Line, Result, table


def fetch_data(
    context: Context, plugin: str | None, name: str, *, dest: Path | None, parts: Sequence[str], keep_archives: bool
) -> Result:
    """Fetch a data set and print the folder in which it lies."""
    from mimctl.cli.commands.script_verb import error_stream

    stdout = error_stream() if context.output.json else None
    with context.output.transfer_view() as watch:
        found = api.download_dataset(
            name,
            plugin,
            dest=dest,
            parts=parts,
            keep_archives=keep_archives,
            stdout=stdout,
            watch=watch,
            settings=context.settings,
        )
    data = {
        "dataset": found.name,
        "source": found.source,
        "data": str(found.root),
        "raw": str(found.raw) if found.raw is not None else None,
        "licence": found.licence,
        "home": found.home,
        "train": {toolbox: str(folder) for toolbox, folder in found.train.items()},
        "files": [asdict(each) for each in found.files],
        "new": found.is_new,
    }
    path = str(found.root)
    return Result(data=data, lines=[path], quiet=[path], notes=_notes(found))


def list_data(context: Context, plugin: str | None) -> Result:
    """List the data sets that can be fetched."""
    found = api.list_datasets(plugin, settings=context.settings)
    rows = [
        (
            each.name,
            _size(each.size),
            ", ".join(each.toolboxes) or each.package or "",
            ", ".join(each.parts),
            each.title,
        )
        for each in found
    ]
    lines = table(rows, head=("data set", "to fetch", "read by", "parts", "what it is"))
    return Result(data={"datasets": [asdict(each) for each in found]}, lines=lines, quiet=[each.name for each in found])


def _notes(found: api.DownloadedData) -> list[Line]:
    if not found.is_new:
        return ["nothing to do"]
    notes = [f"licence: {found.licence}; {found.home}"] if found.licence else []
    notes += [f"train on it: `mimctl train {box} CONFIG --data {path}`" for box, path in found.train.items()]
    return list(notes)


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
