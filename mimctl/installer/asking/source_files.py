"""Choose the source distribution that a person asked to be built: the newest that what was asked for allows (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mimctl.errors import MimctlError
from mimctl.index.filenames import SDIST_ENDINGS, normalise
from mimctl.index.model import SourceFile
from mimctl.installer.asking.words import Placed
from mimctl.resolution.model import Project
from mimctl.transfer import is_remote, local_path

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version


def choose_source(project: Project, specifier: SpecifierSet, *, python: str, pre: bool = False) -> Placed:
    """Return the place of the newest source distribution that `specifier` allows, for Python `python`.

    Pre-releases count where `pre`, where the specifier names one, or where there is nothing else. Raises
    MimctlError[not-in-index] where there is none.
    """
    known = [(version, file) for file in project.sources if (version := _version(project.name, file.filename))]
    fitting = [(version, file) for version, file in known if _fits(version, file, specifier, python)]
    final = [each for each in fitting if pre or specifier.prereleases or not each[0].is_prerelease]
    if not fitting:
        versions = sorted({version for version, _ in known}, reverse=True)
        there = f"there are {', '.join(map(str, versions[:8]))}" if versions else "there is none of it at all"
        raise MimctlError(
            f"no source distribution of `{project.name}{specifier}` for Python {python}",
            code="not-in-index",
            causes=[there, *(f"looked in {each}" for each in project.looked_in)],
            hints=["leave out `--build`, or ask for another version"],
        )
    _, file = max(final or fitting, key=lambda each: each[0])
    address = file.url if is_remote(file.url) else str(local_path(file.url))
    return Placed(kind="archive", address=address, sha256=file.sha256, name=project.name)


def _fits(version: Version, file: SourceFile, specifier: SpecifierSet, python: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not specifier.contains(version, prereleases=True):
        return False
    if file.yanked is not None and not any(each.operator in ("==", "===") for each in specifier):
        return False
    try:
        return SpecifierSet(file.requires_python or "").contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def _version(project: str, filename: str) -> Version | None:
    """Return the version in a source distribution's name, whose project may hold hyphens."""
    from packaging.version import InvalidVersion, Version

    stem = next((filename.removesuffix(each) for each in SDIST_ENDINGS if filename.endswith(each)), filename)
    for name, text in _splits(stem):
        if normalise(name) == project:
            try:
                return Version(text)
            except InvalidVersion:
                continue
    return None


def _splits(stem: str) -> Iterable[tuple[str, str]]:
    words = stem.split("-")
    return (("-".join(words[:at]), "-".join(words[at:])) for at in range(1, len(words)))
