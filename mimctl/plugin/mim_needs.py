"""Why a package of mim's convention cannot work in an environment: what it requires and what is there (pure).

Its requirements are those of its metadata and of the extra `mim` (`mminstall` in the maintained fork), where
OpenMMLab's packages name the libraries that mim installs for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.plugin.mim import MimPackage, normalise
from mimctl.plugin.openmmlab import MMCV_BUILDS, LastBuild

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = ("mim", "mminstall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is installed in an environment, as far as packages can depend on it."""

    installed: Mapping[str, str]
    """Normalised distribution name → version."""
    python: str
    """Its version, `3.11` or longer."""
    torch: str | None
    """The version of torch with its label, None where there is none."""
    paths: Sequence[Path] = ()
    """The import path, to look for compiled libraries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One requirement that the environment does not meet."""

    requirement: str
    """As a requirement is written: `mmcv<2.2.0,>=2.0.0rc4`."""
    name: str
    reason: str


def read_requirements(package: MimPackage) -> list[str]:
    """Return the requirements that a package has in order to work, as its metadata (or its repository) writes them.

    Those that mim's installer would add come first: they are what is hardest to get.
    """
    lines = _metadata_lines(package.info)
    found = [text for text in lines if _is_of_extra(text)]
    is_named = bool(found)
    found += [text for text in lines if "extra ==" not in text]
    if package.is_editable and not is_named:
        file = package.root / "requirements" / "mminstall.txt"
        if file.is_file():
            found += [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    return [each for each in found if each and not each.startswith(("#", "-"))]


def read_summary(package: MimPackage) -> str:
    """Return the one line that a package's metadata says of it, empty where it says none."""
    for line in _header(package.info):
        if line.startswith("Summary:"):
            return line.removeprefix("Summary:").strip()
    return ""


def find_lacks(requirements: Iterable[str], place: Surroundings) -> list[Lack]:
    """Return the requirements that `place` does not meet, each with the reason; unreadable ones are passed over."""
    from packaging.requirements import InvalidRequirement, Requirement

    lacks = []
    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not any(
            wanted.marker.evaluate({"extra": extra, "python_version": ".".join(place.python.split(".")[:2])})
            for extra in ("", *EXTRAS)
        ):
            continue
        reason = _why_not(wanted, place)
        if reason is not None:
            written = f"{wanted.name}{wanted.specifier}"
            lacks.append(Lack(requirement=written, name=normalise(wanted.name), reason=reason))
    return lacks


def last_build(lack: Lack) -> LastBuild | None:
    """Return the newest published build of a compiled library that a requirement allows; None where none is known."""
    if lack.name != "mmcv":
        return None
    from packaging.requirements import Requirement

    allowed = Requirement(lack.requirement).specifier
    fits = [each for each in MMCV_BUILDS if allowed.contains(each.version, prereleases=True)]
    return fits[-1] if fits else None


def _why_not(wanted: Requirement, place: Surroundings) -> str | None:
    name = normalise(wanted.name)
    version = place.installed.get(name)
    if version is None and _is_there_all_the_same(name, place):
        return _why_mmcv_cannot_load("", place) if name == "mmcv" else None
    if version is None:
        return _why_absent(f"{wanted.name}{wanted.specifier}", name, place)
    if not wanted.specifier.contains(version, prereleases=True):
        return f"needs {wanted.name}{wanted.specifier}, {version} is installed"
    if name == "mmcv":
        return _why_mmcv_cannot_load(version, place)
    return None


def _is_there_all_the_same(name: str, place: Surroundings) -> bool:
    """Return whether a distribution that no metadata tell of can be imported: a checkout on the import path, or one of
    OpenCV's distributions, which all hold the same module. What version it is, the package itself finds out."""
    if name.startswith("opencv-"):
        return any(each.startswith("opencv-") for each in place.installed)
    if name == "mmcv" and "mmcv-lite" in place.installed:
        return False
    module = name.replace("-", "_")
    return any((folder / module / "__init__.py").is_file() for folder in place.paths)


def _why_absent(written: str, name: str, place: Surroundings) -> str:
    lite = " (mmcv-lite has no operators)" if name == "mmcv" and "mmcv-lite" in place.installed else ""
    reason = f"needs {written}, which is not installed{lite}"
    if name != "mmcv":
        return reason
    build = last_build(Lack(requirement=written, name=name, reason=""))
    here = _here(place)
    if build is None or (_fits_torch(build, place) and _fits_python(build, place)):
        return reason
    return f"{reason}; it has no build for {here} (the last is for torch {build.torch}, Python {build.python})"


def _here(place: Surroundings) -> str:
    python = "Python " + ".".join(place.python.split(".")[:2])
    return f"torch {place.torch} and {python}" if place.torch else python


def _fits_torch(build: LastBuild, place: Surroundings) -> bool:
    return place.torch is None or _release(place.torch)[:2] <= _release(build.torch)[:2]


def _fits_python(build: LastBuild, place: Surroundings) -> bool:
    return _release(place.python)[:2] <= _release(build.python)[:2]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version.partition("+")[0])[:3])


def _why_mmcv_cannot_load(version: str, place: Surroundings) -> str | None:
    """Look whether the compiled half of an installed mmcv is there, and for this Python."""
    folder = next((each / "mmcv" for each in place.paths if (each / "mmcv" / "__init__.py").is_file()), None)
    if folder is None:
        return None
    shown = f"mmcv {version}".rstrip()
    libraries = [path.name for path in folder.glob("_ext*") if path.suffix in (".so", ".pyd")]
    if not libraries:
        return f"{shown} is installed without its compiled operators"
    tag = "".join(place.python.split(".")[:2])
    named = [found[1] for name in libraries if (found := re.search(r"(?:cpython-|cp)(\d+)", name))]
    if named and tag not in named:
        return f"{shown} was built for Python {named[0][0]}.{named[0][1:]}, this is {place.python}"
    return None


def _is_of_extra(text: str) -> bool:
    return any(f"extra == {quote}{extra}{quote}" in text for extra in EXTRAS for quote in "'\"")


def _metadata_lines(info: Path) -> list[str]:
    return [line.removeprefix("Requires-Dist:").strip() for line in _header(info) if line.startswith("Requires-Dist:")]


def _header(info: Path) -> list[str]:
    for name in ("METADATA", "PKG-INFO"):
        try:
            text = (info / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        return re.split(r"\r?\n\r?\n", text, maxsplit=1)[0].splitlines()
    return []
