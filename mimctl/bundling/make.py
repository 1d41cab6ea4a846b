"""Gather wheels, weights and data into a folder that installs by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.bundling import check as bundle_check
from mimctl.bundling.check import MANIFEST
from mimctl.bundling.data import take_data
from mimctl.bundling.layout import copy, manifest_of, take_weights, weights_of, write_index, write_locked, write_text
from mimctl.bundling.parts import BundleParts
from mimctl.bundling.request import check_has_mimctl, check_out
from mimctl.bundling.script import SCRIPT
from mimctl.errors import UsageError
from mimctl.index.model import IndexFile
from mimctl.installer.locking.lockfile import Asked, Contents
from mimctl.resolution.names import is_own
from mimctl.site.swap import replacing
from mimctl.transfer import Job, Note, download_all, is_remote, sha256_of

if TYPE_CHECKING:
    from mimctl.index.model import Index
    from mimctl.installer.prepare import Places
    from mimctl.transfer.model import FileProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport:
    """A bundle that was made."""

    path: Path
    environments: tuple[str, ...]
    num_files: int
    size: int
    """Bytes."""
    sha256: str
    """Of its manifest: who has this from a safe place can tell whether the bundle is the one that was made."""


def make_bundle(
    contents: Contents,
    asked: Asked,
    out: Path,
    *,
    places: Places,
    parts: Callable[[Sequence[Path]], BundleParts] | None = None,
    index: Index | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> BundleReport:
    """Write a bundle of the wheels in `contents` to `out`; a bundle that is there is replaced in one step.

    `parts` is given our own wheels, and returns what goes in besides; `index` is what mimctl's indexes say.
    Raises UsageError[not-a-bundle] where `out` holds something else, [bundle-without-mimctl] where the wheels do not
    hold mimctl, UsageError for two different files of one name, and what transfers raise.
    """
    out = out.absolute()
    check_out(out)
    check_has_mimctl(contents)
    files = _distinct(file for chosen in contents.values() for file in chosen.values())
    if note is not None:
        note(f"fetching {len(files)} wheels")
    paths = _fetch(files, places, progress=progress, note=note)
    more = parts([path for name, path in paths.items() if is_own(files[name].project)]) if parts else BundleParts()
    with replacing(out) as root:
        own = root / "own"
        for name, path in paths.items():
            copy(path, (own if is_own(files[name].project) else root / "wheels") / name)
        (root / "wheels").mkdir(exist_ok=True)
        write_index(root, own, index, more.models)
        write_locked(root, contents, asked, out)
        weights = [*(take_weights(root, each) for each in more.weights), *weights_of(more.models)]
        datasets = list(take_data(root, more.folders, more.data))
        write_text(root / "install.sh", SCRIPT, mode=0o755)
        copy(Path(bundle_check.__file__), root / "check.py")
        manifest = manifest_of(root, contents, weights=weights, datasets=datasets)
        write_text(root / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    sizes = [int(each["size"]) for each in manifest["files"].values()]  # type: ignore[attr-defined]
    return BundleReport(
        path=out,
        environments=tuple(map(str, contents)),
        num_files=len(sizes),
        size=sum(sizes),
        sha256=sha256_of(out / MANIFEST),
    )


def _distinct(files: Iterable[IndexFile]) -> dict[str, IndexFile]:
    found: dict[str, IndexFile] = {}
    for file in files:
        there = found.setdefault(file.filename, file)
        if there.sha256 != file.sha256:
            raise UsageError(
                f"two different files are called `{file.filename}`",
                causes=[f"{each.sha256} from {each.address}" for each in (there, file)],
                hints=["make a bundle for each of the environments"],
            )
    return dict(sorted(found.items()))


def _fetch(
    files: Mapping[str, IndexFile], places: Places, *, progress: FileProgress | None, note: Note | None
) -> dict[str, Path]:
    jobs = [
        Job(
            url=file.url,
            dest=places.cache_dir / "wheels" / str(file.sha256) / file.filename,
            sha256=file.sha256,
            size=file.size,
            named_by=file.address if is_remote(file.address) else "",
        )
        for file in files.values()
    ]
    found = download_all(jobs, settings=places.transfer, file_progress=progress, note=note)
    return dict(zip(files, found, strict=True))
