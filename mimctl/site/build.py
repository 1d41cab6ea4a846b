"""Builds the static index from wheels, toolboxes and zoo files: same input, same bytes, swapped in whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.index.model import TorchVersions
from mimctl.site.entry import Entry, in_order, parse_entries
from mimctl.site.known import recall, remember
from mimctl.site.layout import check_out, make_folder, read_site, unlisted, write_index, write_zoos
from mimctl.site.published import FileProgress, Published, merge_zoos, published
from mimctl.site.sdist import check_sdist
from mimctl.site.shelf import Shelf
from mimctl.site.sources import find_wheels, no_wheels, read_toolboxes, read_zoos
from mimctl.site.swap import replacing
from mimctl.site.verified import merge, read_reports
from mimctl.transfer import Note, TransferSettings, locked
from mimctl.wheels.matrix import read_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """What an index holds after it was built."""

    out: Path
    files: tuple[str, ...]
    """Names of the wheels."""
    toolboxes: tuple[str, ...]
    models: Mapping[str, int]
    """Toolbox → number of models."""
    torch_verified: str | None
    yanked: tuple[str, ...] = ()
    """Wheels that are withdrawn."""
    left_out: tuple[Path, ...] = ()
    """Source distributions that were passed over."""
    verified: tuple[str, ...] = ()
    """Wheels whose project's tests were run with them."""
    unlisted: tuple[str, ...] = ()
    """Wheels that only `index.json` names: the label of their version is no backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSources:
    """What an index is made from.

    `wheels` are folders or files; `others` addresses of indexes whose files it shall hold too; `zoo` a folder of
    `<plugin>.json|yaml` with `files/` beside them, `toolboxes` a toolboxes.yaml, `matrix` a wheels-matrix.yaml whose
    newest verified torch is written down.
    """

    wheels: Sequence[Path] = ()
    others: Sequence[str] = ()
    zoo: Path | None = None
    toolboxes: Path | None = None
    matrix: Path | None = None
    torch: TorchVersions | None = None
    """What to write down of torch where no matrix says it."""
    verified: Sequence[Path] = ()
    """Reports of `mimctl wheels verify --json`, or folders of them."""


def build_site(
    sources: SiteSources,
    out: Path,
    *,
    transfer: TransferSettings | None = None,
    cache_dir: Path | None = None,
    note: Note | None = None,
    progress: FileProgress | None = None,
) -> SiteReport:
    """Write a static index to `out`, replacing an index that is there in one step.

    What is known of an earlier build (in `cache_dir`) is not read again. Raises UsageError[not-a-site] where `out`
    holds something that is no index, MimctlError[sdist] for sources of a compiled package, [wheel-audit] and
    IntegrityError[bad-wheel | wheel-label | duplicate-wheel] for a wheel that no index takes, and what reading the
    sources raises; then `out` stays as it was.
    """
    out = out.absolute()
    check_out(out)
    make_folder(out.parent)
    with (
        locked(out.with_name(f".{out.name}.index"), note),
        published(sources.others, transfer=transfer, cache_dir=cache_dir, progress=progress) as others,
    ):
        return _build(sources, others, out, cache_dir)


def _torch(sources: SiteSources, others: Sequence[Published]) -> TorchVersions:
    """Return what the matrix says of torch, else what the first index that says something does."""
    if sources.matrix:
        matrix = read_matrix(sources.matrix)
        if matrix.verified_torch:
            return TorchVersions(verified=matrix.verified_torch, default=matrix.default_torch)
    if sources.torch is not None:
        return sources.torch
    return next((other.torch for other in others if other.torch.verified), TorchVersions())


def _build(sources: SiteSources, others: Sequence[Published], out: Path, cache_dir: Path | None) -> SiteReport:
    found = find_wheels(sources.wheels)
    boxes = {name: box for other in reversed(others) for name, box in other.toolboxes.items()}
    boxes |= read_toolboxes(sources.toolboxes) if sources.toolboxes else {}
    zoos = merge_zoos(read_zoos(sources.zoo) if sources.zoo else [], others)
    torch = _torch(sources, others)
    reports = [read_reports(sources.verified), *(other.verified for other in others)]
    num_models = {zoo.plugin: zoo.num_models for zoo in zoos}
    with replacing(out) as root:
        promised = _promised(out)
        shelf = Shelf(root / "files", known=recall(cache_dir, out, promised), promised=promised, old=out)
        for path in (path for paths in found.wheels.values() for path in paths):
            shelf.take(path)
        for other in others:
            for file in other.files:
                shelf.take_published(other, file)
        if not shelf.entries and (sources.wheels or not zoos):
            raise no_wheels()
        entries = in_order(shelf.entries.values())
        compiled = frozenset(each.project for each in entries if not each.is_pure)
        for path in found.sdists:
            check_sdist(path, compiled)
        verified = merge(reports, {each.sha256 for each in entries})
        write_index(root, entries, torch=torch, toolboxes=boxes, num_models=num_models, verified=verified)
        write_zoos(root, zoos)
    remember(cache_dir, out, [each.filename for each in entries], shelf.sources)
    return SiteReport(
        out=out,
        files=tuple(each.filename for each in entries),
        toolboxes=tuple(sorted(boxes)),
        models=num_models,
        torch_verified=torch.verified,
        yanked=tuple(each.filename for each in entries if each.yanked is not None),
        left_out=found.sdists,
        verified=tuple(each.filename for each in entries if each.sha256 in verified),
        unlisted=tuple(unlisted(entries)),
    )


def _promised(out: Path) -> dict[str, Entry]:
    """Return the wheels of the index that is replaced."""
    try:
        return entries_of(out)
    except MimctlError as err:
        hints = [f"delete `{out}` to build it from nothing"]
        raise MimctlError(err.message, code=err.code, causes=err.causes, hints=hints) from err


def entries_of(site: Path) -> dict[str, Entry]:
    """Return the wheels of an index in a folder by name, none where there is none.

    Raises MimctlError[bad-index | index-version].
    """
    data = read_site(site)
    return {} if data is None else {each.filename: each for each in parse_entries(data, str(site))}
