"""`mimctl cache`: where downloads are kept, how much that is, and what may go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table
from mimctl.errors import counted

if TYPE_CHECKING:
    from mimctl.transfer.cache import Kept

_USES = ("cache_dir",)


@verb("dir", examples=["mimctl cache dir"], uses=_USES)
def dir_(context: Context) -> Result:
    """Print the folder of the cache."""
    path = str(api.cache_dir(settings=context.settings))
    shared = context.settings.shared_cache
    return Result(data={"dir": path, "shared": None if shared is None else str(shared)}, lines=[path], quiet=[path])


@verb("size", examples=["mimctl cache size", "mimctl cache size --json"], uses=_USES)
def size(context: Context) -> Result:
    """Print what the cache holds, by kind."""
    shares = api.cache_size(settings=context.settings)
    total = sum(each.size for each in shares)
    rows = [(each.kind, counted(each.num_files, "file"), shown_size(each.size)) for each in shares]
    rows.append(("in all", counted(sum(each.num_files for each in shares), "file"), shown_size(total)))
    data = {each.kind: {"files": each.num_files, "size": each.size} for each in shares}
    return Result(
        data={"dir": str(context.settings.cache_dir), "kinds": data, "size": total},
        lines=table(rows),
        quiet=[str(total)],
    )


@verb("prune", examples=["mimctl cache prune", "mimctl cache prune --days 7 --dry-run"], uses=_USES)
@click.option(
    "--days", type=click.FloatRange(min=0), metavar="N", default=30.0, help="Days without use.  [default: 30]"
)
@click.option("--dry-run", is_flag=True, help="Print what would go, remove nothing.")
def prune(context: Context, days: float, dry_run: bool) -> Result:
    """Remove what nobody has used for a while; what a running mimctl uses stays."""
    gone = api.cache_prune(days=days, dry_run=dry_run, settings=context.settings, note=context.output.note)
    return _outcome(gone, dry_run)


@verb("clean", examples=["mimctl cache clean", "mimctl cache clean weights --dry-run"], uses=_USES)
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("--dry-run", is_flag=True, help="Print what would go, remove nothing.")
def clean(context: Context, kinds: tuple[str, ...], dry_run: bool) -> Result:
    """Remove everything, or all of some kinds: wheels, weights, pages, configs, site."""
    gone = api.cache_clean(kinds, dry_run=dry_run, settings=context.settings, note=context.output.note)
    return _outcome(gone, dry_run)


def shown_size(num_bytes: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes} bytes"


def _outcome(gone: Sequence[Kept], dry_run: bool) -> Result:
    freed = sum(each.size for each in gone)
    files = [{"path": str(each.path), "kind": each.kind, "size": each.size} for each in gone]
    data = {"removed": files, "size": freed, "dry_run": dry_run}
    if not gone:
        return Result(data=data, lines=["nothing to do"])
    said = f"{'would remove' if dry_run else 'removed'} {counted(len(gone), 'file')}, {shown_size(freed)}"
    listed = [str(each.path) for each in gone] if dry_run else []
    return Result(data=data, lines=[*listed, said], quiet=listed)


COMMANDS = {"dir": dir_, "size": size, "prune": prune, "clean": clean}
