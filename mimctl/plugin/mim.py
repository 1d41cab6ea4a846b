"""Find the packages that follow mim's convention: a folder `<module>/.mim` with configs, tools and an index of models.

A plain stat for each folder of the import path, then the metadata of the few that have it; nothing is imported. An
editable installation has no such folder: there the repository itself holds the same names at its root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = ".mim"
INDEXES = ("model-index.yml", "model-index.yaml", "model_zoo.yml")
"""Names of the index of models, the present one first."""

DATASETS = "dataset-index.yml"
_PARTS = ("configs", "tools", "demo", DATASETS, *INDEXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class MimPackage:
    """An installed distribution that follows mim's convention."""

    name: str
    """The distribution's normalised name (`mmdet`, `onedl-mmdetection`)."""
    version: str
    module: str
    """Its import package."""
    root: Path
    """The folder that holds configs, tools, demo and the index of models: `.mim`, or the repository's root."""
    info: Path
    """Its `.dist-info`, or the `.egg-info` of its project."""
    is_editable: bool = False

    @property
    def configs_dir(self) -> Path:
        """The root of its configs."""
        return self.root / "configs"

    @property
    def index(self) -> Path | None:
        """The index of its models, None where it has none."""
        return next((self.root / name for name in INDEXES if (self.root / name).is_file()), None)

    @property
    def words(self) -> tuple[str, ...]:
        """What it answers to: the distribution's name, and that of its import package."""
        return tuple(dict.fromkeys((self.name, self.module)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenMimPackage:
    """A folder that follows mim's convention and cannot be used; `reason` says why."""

    name: str
    version: str
    module: str
    reason: str


def find_packages(paths: Sequence[Path]) -> list[MimPackage | BrokenMimPackage]:
    """Return the packages with mim's folder on an import path, sorted by name; never raises for one of them.

    A distribution or a module that an earlier folder holds hides the same one in a later folder, as on import.
    """
    found: dict[str, MimPackage | BrokenMimPackage] = {}
    modules: set[str] = set()
    for folder in paths:
        entries = _names(folder)
        infos = [each for each in entries if each.endswith(".dist-info")]
        projects = [*_projects(folder, infos), *_linked(folder, entries)]
        for each in [*_with_folder(folder, entries, infos), *_editable(projects)]:
            if each.module not in modules and each.name not in found:
                modules.add(each.module)
                found[each.name] = each
    return [found[name] for name in sorted(found)]


def find_package(word: str, packages: Iterable[MimPackage | BrokenMimPackage]) -> MimPackage | BrokenMimPackage | None:
    """Return the package that `word` names (its distribution or its module), None where there is none."""
    wanted = normalise(word)
    return next((each for each in packages if wanted in (each.name, normalise(each.module))), None)


def normalise(name: str) -> str:
    """Return the normalised form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _with_folder(folder: Path, entries: Sequence[str], infos: Sequence[str]) -> Iterator[MimPackage | BrokenMimPackage]:
    for module in entries:
        # Most names are no package's, and a Path for each of hundreds is slow.
        if not module.isidentifier() or not os.path.lexists(place := f"{folder}{os.sep}{module}{os.sep}{FOLDER}"):
            continue
        root = Path(place)
        info = _owner(folder, module, infos)
        if info is None:
            reason = f"no installed distribution owns `{root.parent}`: left over, or a checkout on the import path"
            yield BrokenMimPackage(name=normalise(module), version="", module=module, reason=reason)
            continue
        name, version = _identity(info)
        if not any((root / part).exists() for part in _PARTS):
            reason = f"`{root}` is empty" if root.is_dir() else f"`{root}` leads nowhere"
            if _project_of(info) is None:
                yield BrokenMimPackage(name=name, version=version, module=module, reason=reason)
            continue
        yield MimPackage(name=name, version=version, module=module, root=root, info=info)


def _projects(folder: Path, infos: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield (metadata, project) of the editable installations of a folder."""
    for name in infos:
        project = _project_of(folder / name)
        if project is not None:
            yield folder / name, project


def _linked(folder: Path, entries: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield the same of `setup.py develop`, which pip still calls for old projects where it is old itself."""
    for name in entries:
        if name.endswith(".egg-link"):
            project = Path(next(iter(_lines(folder / name)), "").strip())
            wanted = normalise(name.removesuffix(".egg-link"))
            for info in project.glob("*.egg-info") if project.is_absolute() else ():
                if normalise(info.name.removesuffix(".egg-info")) == wanted:
                    yield info, project


def _editable(projects: Iterable[tuple[Path, Path]]) -> Iterator[MimPackage]:
    for info, project in projects:
        distribution, version = _identity(info)
        for module in _modules(info) or [distribution.replace("-", "_")]:
            package = next((each for each in (project / module, project / "src" / module) if each.is_dir()), None)
            if package is None:
                continue
            inside = package / FOLDER
            root = inside if any((inside / part).exists() for part in _PARTS) else project
            if root is inside or any((project / each).is_file() for each in (*INDEXES, DATASETS)):
                yield MimPackage(
                    name=distribution, version=version, module=module, root=root, info=info, is_editable=True
                )
                break


def _owner(folder: Path, module: str, infos: Sequence[str]) -> Path | None:
    """Return the `.dist-info` that owns an import package: by its name, by `top_level.txt`, by its list of files."""
    wanted = normalise(module)
    by_name = [folder / each for each in infos if normalise(each.partition("-")[0]) == wanted]
    if by_name:
        return by_name[0]
    for name in infos:
        if module in _modules(folder / name):
            return folder / name
    start = f"{module}/"
    for name in infos:
        if any(line.startswith(start) for line in _lines(folder / name / "RECORD")):
            return folder / name
    return None


def _project_of(info: Path) -> Path | None:
    """Return the folder that an editable distribution was installed from (PEP 610), None for any other."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        text = (info / "direct_url.json").read_text(encoding="utf-8")
        if "editable" not in text:
            return None
        data = json.loads(text)
        if data["dir_info"].get("editable") is not True:
            return None
        parts = urlsplit(str(data["url"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _modules(info: Path) -> list[str]:
    return [line.strip() for line in _lines(info / "top_level.txt") if line.strip()]


def _identity(info: Path) -> tuple[str, str]:
    name, _, version = info.name.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")
    if not version:
        stated = (line for line in _lines(info / "PKG-INFO") if line.startswith("Version:"))
        version = next(stated, "").removeprefix("Version:").strip()
    return normalise(name), version


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
