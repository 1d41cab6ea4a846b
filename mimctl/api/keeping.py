"""The cache: where it is, what lies in it, what may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.errors import UsageError, nearest
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.transfer.cache import Kept
    from mimctl.transfer.model import Note

PRUNE_DAYS = 30.0
"""How long a file may lie unused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the cache holds of one kind."""

    kind: str
    num_files: int
    size: int
    """Bytes."""


def cache_size(*, settings: Settings | None = None) -> list[Share]:
    """Return what the cache holds, by kind; partial files are a kind of their own."""
    from mimctl.transfer.cache import KINDS, contents

    settings = settings or settings_module.load()
    found = {kind: [0, 0] for kind in (*KINDS, "partial")}
    for each in contents(settings.cache_dir):
        share = found["partial" if each.is_partial else each.kind]
        share[0] += 1
        share[1] += each.size
    return [Share(kind=kind, num_files=number, size=size) for kind, (number, size) in found.items()]


def cache_prune(
    *, days: float = PRUNE_DAYS, dry_run: bool = False, settings: Settings | None = None, note: Note | None = None
) -> list[Kept]:
    """Remove what nobody used for `days` days and partial files that nobody continued for a day; return the files.

    What a running mimctl uses stays, and what a run names that may still go on. With `dry_run` nothing is removed.
    """
    from mimctl.transfer.cache import prune

    settings = settings or settings_module.load()
    spared = _spared(settings)
    return prune(settings.cache_dir, days=days, spared=spared, is_dry_run=dry_run, note=note)


def cache_clean(
    kinds: Sequence[str] = (), *, dry_run: bool = False, settings: Settings | None = None, note: Note | None = None
) -> list[Kept]:
    """Remove all files of the given kinds (none given: all) from the cache and return them.

    What a running mimctl uses stays, what a run names that may still go on, and what files hashed to when they were
    first seen. Raises UsageError[usage] for an unknown kind.
    """
    from mimctl.transfer.cache import KINDS, clean

    for kind in kinds:
        if kind not in KINDS:
            near = nearest(kind, set(KINDS))
            hint = f"did you mean `{near[0]}`?" if near else f"the kinds are {', '.join(KINDS)}"
            raise UsageError(f"the cache holds nothing of the kind `{kind}`", hints=[hint])
    settings = settings or settings_module.load()
    spared = _spared(settings)
    return clean(settings.cache_dir, kinds=kinds or KINDS, spared=spared, is_dry_run=dry_run, note=note)


def cache_dir(*, settings: Settings | None = None) -> Path:
    """Return the folder of the cache."""
    return (settings or settings_module.load()).cache_dir


def _spared(settings: Settings) -> Mapping[Path, str]:
    """Return what runs need that may still go on: who queued a job has no mimctl running that would hold its files."""
    from mimctl.launch.runs.book import RunBook
    from mimctl.launch.runs.needs import needed_files

    needed = needed_files(RunBook(settings.home / "runs"), settings.cache_dir)
    return {path: f"run `{run.run_id}` ({run.name}) names it and has not ended" for path, run in needed.items()}
