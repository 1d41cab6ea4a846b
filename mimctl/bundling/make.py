"""Gather wheels, weights and data into a folder that installs by itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import mimctl
from mimctl.bundling import check as bundle_check
from mimctl.bundling.check import MANIFEST
from mimctl.bundling.data import KeptData, take_data
from mimctl.bundling.install import is_bundle
from mimctl.bundling.models import Model, write_zoo_sources
from mimctl.bundling.script import SCRIPT
from mimctl.bundling.weights import Weights
from mimctl.errors import MimctlError, UsageError
from mimctl.index.filenames import normalise
from mimctl.index.model import IndexFile, TorchVersions
from mimctl.installer.locking.lockfile import LOCK_NAME, Asked, Contents, write_lock
from mimctl.resolution.names import PREFIX, is_own
from mimctl.site.build import SiteSources, build_site
from mimctl.site.swap import replacing
from mimctl.transfer import Job, Note, download_all, is_remote, sha256_of

if TYPE_CHECKING:
    from mimctl.index.model import Index
    from mimctl.installer.prepare import Places
    from mimctl.transfer.model import FileProgress

ALWAYS = (PREFIX, "packaging>=26")
"""What every bundle has: it installs itself, and reads its lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleParts:
    """What goes into a bundle besides wheels."""

    weights: Sequence[Weights] = ()
    models: Sequence[Model] = ()
    folders: Sequence[Path] = ()
    """Of data."""
    data: Sequence[KeptData] = ()


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
    _check_has_mimctl(contents)
    files = _distinct(file for chosen in contents.values() for file in chosen.values())
    if note is not None:
        note(f"fetching {len(files)} wheels")
    paths = _fetch(files, places, progress=progress, note=note)
    more = parts([path for name, path in paths.items() if is_own(files[name].project)]) if parts else BundleParts()
    with replacing(out) as root:
        own = root / "own"
        for name, path in paths.items():
            _copy(path, (own if is_own(files[name].project) else root / "wheels") / name)
        (root / "wheels").mkdir(exist_ok=True)
        _write_index(root, own, index, more.models)
        _write_lock(root, contents, asked, out)
        weights = [*(_take_weights(root, each) for each in more.weights), *_weights_of(more.models)]
        datasets = list(take_data(root, more.folders, more.data))
        _write_text(root / "install.sh", SCRIPT, mode=0o755)
        _copy(Path(bundle_check.__file__), root / "check.py")
        manifest = _manifest(root, contents, weights=weights, datasets=datasets)
        _write_text(root / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    sizes = [int(each["size"]) for each in manifest["files"].values()]  # type: ignore[attr-defined]
    return BundleReport(
        path=out,
        environments=tuple(map(str, contents)),
        num_files=len(sizes),
        size=sum(sizes),
        sha256=sha256_of(out / MANIFEST),
    )


def with_necessities(names: Sequence[str]) -> list[str]:
    """Return what is asked for together with what every bundle has, unless it is named already."""
    named = {_project(name) for name in names}
    return [*names, *(each for each in ALWAYS if _project(each) not in named)]


def check_served(names: Sequence[str], index: Index | None) -> None:
    """Raise MimctlError[bundle-without-mimctl] where neither an index nor a wheel that was named brings mimctl."""
    if PREFIX in {_project(name) for name in names} or (index is not None and PREFIX in index.projects):
        return
    raise MimctlError(
        "nothing brings mimctl itself",
        code="bundle-without-mimctl",
        causes=["no named index has it" if index is not None else "no index is named"],
        hints=["name an index that has it: `--index ADDRESS`", "or its wheel beside what is to be bundled"],
    )


def _project(word: str) -> str:
    """Return the project that a word names: a requirement, or the path of a wheel."""
    last = word.rpartition("/")[2]
    name = last.partition("-")[0] if last.endswith(".whl") else re.split(r"[\s<>=!~\[;@]", last)[0]
    return normalise(name)


def check_out(out: Path) -> None:
    """Refuse to replace what is no bundle: a mistyped folder must not cost anybody one. Raises UsageError."""
    if not out.exists() or (out.is_dir() and (not any(out.iterdir()) or is_bundle(out))):
        return
    raise UsageError(
        f"`{out}` is there already and is no bundle",
        code="not-a-bundle",
        causes=["making a bundle replaces the whole folder"],
        hints=["name a new or an empty folder"],
    )


def _check_has_mimctl(contents: Contents) -> None:
    without = [str(cell) for cell, files in contents.items() if PREFIX not in files]
    if without:
        raise MimctlError(
            "the lock does not hold mimctl itself",
            code="bundle-without-mimctl",
            causes=[f"not for {each}" for each in without],
            hints=["lock it too: `mimctl lock mimctl 'packaging>=26' …`", "or name what to bundle instead of `--lock`"],
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


def _write_index(root: Path, own: Path, index: Index | None, models: Sequence[Model]) -> None:
    projects = {normalise(path.name.partition("-")[0]) for path in own.iterdir()}
    toolboxes = index.toolboxes if index is not None else {}
    torch = TorchVersions(
        verified=index.torch_verified if index else None, default=index.torch_default if index else None
    )
    boxes, zoo = root / "toolboxes.json", root / "zoo"
    plain = {
        name: {
            "distribution": each.distribution,
            "summary": each.summary,
            "aliases": list(each.aliases),
            "scopes": list(each.scopes),
        }
        for name, each in sorted(toolboxes.items())
        if normalise(each.distribution) in projects
    }
    boxes.write_text(json.dumps(plain), encoding="utf-8")  # JSON is YAML
    write_zoo_sources(zoo, models)
    try:
        sources = SiteSources(wheels=[own], zoo=zoo if models else None, toolboxes=boxes, torch=torch)
        build_site(sources, root / "index")
    finally:
        boxes.unlink()
        shutil.rmtree(own)
        shutil.rmtree(zoo, ignore_errors=True)
    for left in root.glob(".index*"):
        left.unlink()


def _write_lock(root: Path, contents: Contents, asked: Asked, out: Path) -> None:
    moved = {
        cell: {name: replace(file, url=str(out / _place(file))) for name, file in files.items()}
        for cell, files in contents.items()
    }
    text = write_lock(moved, replace(asked, indexes=("index",)), folder=out)
    _write_text(root / LOCK_NAME, text)


def _place(file: IndexFile) -> str:
    return f"index/files/{file.filename}" if is_own(file.project) else f"wheels/{file.filename}"


def _take_weights(root: Path, weights: Weights) -> dict[str, object]:
    place = f"weights/{weights.sha256}/{weights.path.name}"
    _copy(weights.path, root / place)
    return {"url": weights.url, "path": place, "sha256": weights.sha256}


def _weights_of(models: Sequence[Model]) -> Iterator[dict[str, object]]:
    """Yield the weights of models that configs know by an address too; they lie in the index already."""
    for each in models:
        if each.entry.weights is not None and each.entry.weights.url is not None:
            yield {"url": each.entry.weights.url, "path": f"index/{each.file}", "sha256": each.sha256}


def _manifest(
    root: Path, contents: Contents, *, weights: Sequence[object], datasets: Sequence[object]
) -> dict[str, object]:
    return {
        "schema_version": bundle_check.SCHEMA_VERSION,
        "generator": f"mimctl {mimctl.__version__}",
        "environments": [{"for": cell.words, "python": cell.python} for cell in contents],
        "weights": list(weights),
        "datasets": list(datasets),
        "files": {
            name: {"size": (root / name).stat().st_size, "sha256": sha256_of(root / name)}
            for name in bundle_check.names_below(root)
        },
    }


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _write_text(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
