"""Bring every file of a plan to this machine, verified and inspected, before anything is changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from mimctl.environment.model import Environment
from mimctl.errors import IntegrityError
from mimctl.index.model import IndexFile
from mimctl.installer.backends.staged import Staged
from mimctl.installer.inspection.protected import protected_names
from mimctl.installer.inspection.wheel_check import check_wheel
from mimctl.installer.model import InstallPlan
from mimctl.resolution.model import Provided
from mimctl.resolution.names import is_own
from mimctl.resolution.store import WheelStore
from mimctl.transfer import Job, TransferSettings, download_all, is_remote
from mimctl.transfer.model import FileProgress, Note


def stage(
    plan: InstallPlan,
    *,
    transfer: TransferSettings,
    cache_dir: Path,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> list[Staged]:
    """Return the wheels of a plan, in the cache under their hashes, each inspected.

    Raises IntegrityError[hash-mismatch | hash-changed | length-mismatch | bad-wheel], UnsafeFileError[unsafe-wheel],
    NetworkError, MimctlError[foreign-files], and what else transfers and `check_wheel` raise.
    """
    accepted = frozenset(plan.reinstalled)
    published = _Published(cache_dir)
    published.check(file for file in plan.wheels if file.project not in accepted)
    paths = _fetch(plan.wheels, transfer=transfer, cache_dir=cache_dir, progress=progress, note=note)
    staged = [
        Staged(
            name=file.project,
            version=file.version,
            path=paths[file.filename],
            sha256=paths[file.filename].parent.name,
            is_named=not is_own(file.project),
        )
        for file in plan.wheels
    ]
    arrived = [_with_hash(file, paths[file.filename]) for file in plan.wheels]
    published.check(file for file in arrived if file.project not in accepted)
    staged += [_provided(each) for each in plan.provided if each.wheel is not None]
    _inspect(plan, staged)
    published.remember(arrived)
    return staged


def _with_hash(file: IndexFile, arrived: Path) -> IndexFile:
    """Return a file with the hash of what arrived, where a server told none; who builds wheels into a folder of his own
    may do so again.
    """
    return replace(file, sha256=arrived.parent.name) if file.sha256 is None and is_remote(file.url) else file


def written_by(staged: Iterable[Staged], env: Environment) -> frozenset[str]:
    """Return the places in the folders of packages that wheels write to."""
    import zipfile

    site = (str(env.paths.purelib), str(env.paths.platlib))
    places: set[str] = set()
    for each in staged:
        with zipfile.ZipFile(each.path) as archive:
            for member in archive.namelist():
                first, _, rest = member.partition("/")
                scheme, _, inner = rest.partition("/")
                name = inner if first.endswith(".data") and scheme in ("purelib", "platlib") else member
                places.update(f"{folder}/{name}" for folder in site)
    return frozenset(places)


def _fetch(
    files: Iterable[IndexFile],
    *,
    transfer: TransferSettings,
    cache_dir: Path,
    progress: FileProgress | None,
    note: Note | None,
) -> dict[str, Path]:
    hashed = {file.filename: file for file in files if file.sha256 is not None}
    jobs = [
        Job(
            url=file.url,
            dest=cache_dir / "wheels" / str(file.sha256) / file.filename,
            sha256=file.sha256,
            size=file.size,
            named_by=file.address if is_remote(file.address) else "",
        )
        for file in hashed.values()
    ]
    found = dict(zip(hashed, download_all(jobs, settings=transfer, file_progress=progress, note=note), strict=True))
    store = WheelStore(transfer, cache_dir)
    return found | {file.filename: store.fetch(file) for file in files if file.filename not in found}


def _provided(given: Provided) -> Staged:
    from mimctl.transfer import sha256_of

    assert given.wheel is not None
    return Staged(
        name=given.metadata.name,
        version=given.metadata.version,
        path=given.wheel.absolute(),
        sha256=given.sha256 or sha256_of(given.wheel),
        is_named=False,
        origin=given.record,
    )


def _inspect(plan: InstallPlan, staged: Iterable[Staged]) -> None:
    env = plan.environment
    protected = protected_names(
        dict.fromkeys((env.paths.purelib, env.paths.platlib)), but=[change.name for change in plan.changes]
    )
    files = {file.filename: file for file in plan.wheels}
    for each in staged:
        filename = each.path.name
        check_wheel(each.path, file=files.get(filename), metadata=plan.metadata.get(filename), protected=protected)


class _Published:
    """What each file of an index hashed to when it was first fetched: a version is published once."""

    def __init__(self, cache_dir: Path) -> None:
        self._folder = cache_dir / "published"

    def check(self, files: Iterable[IndexFile]) -> None:
        """Raise IntegrityError[hash-changed] where an index gives another hash for a file than it did before."""
        for file in files:
            before = self._known(file.project).get(_key(file))
            if before is not None and file.sha256 is not None and before != file.sha256:
                raise IntegrityError(
                    f"`{file.filename}` is not the file that the index had before",
                    code="hash-changed",
                    causes=[f"sha256 before {before}", f"sha256 now    {file.sha256}"],
                    hints=[
                        "a version is published once: ask who serves the index why it changed",
                        f"if that is on purpose: `mimctl install {file.project} --reinstall`",
                    ],
                    details={"expected": before, "found": file.sha256},
                )

    def remember(self, files: Iterable[IndexFile]) -> None:
        """Note the hashes of what was fetched."""
        by_project: dict[str, dict[str, str]] = {}
        for file in files:
            if file.sha256 is not None:
                by_project.setdefault(file.project, {})[_key(file)] = file.sha256
        for project, new in by_project.items():
            known = self._known(project)
            if not new.items() <= known.items():
                self._write(project, {**known, **new})

    def _write(self, project: str, known: Mapping[str, str]) -> None:
        """Note what is known, quietly not where the folder cannot be written; it need not outlive a power cut."""
        path = self._folder / f"{project}.json"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(path)

    def _known(self, project: str) -> Mapping[str, str]:
        try:
            data = json.loads((self._folder / f"{project}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}


def _key(file: IndexFile) -> str:
    """Return what stands for a file of an index; addresses may hold secrets."""
    address = hashlib.sha256((file.address or file.url).encode()).hexdigest()[:16]
    return f"{address}/{file.filename}"
