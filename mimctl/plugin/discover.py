"""Find the toolboxes of an environment by scanning its folders for entry points of the group `mimctl.plugins`.

`importlib.metadata` would cost seven times the start of Python; the files it reads are simple enough.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from mimctl.errors import MimctlError, nearest
from mimctl.plugin.entry_points import read_entry_points
from mimctl.plugin.fits import refuse_other_engines, refuse_shared_words
from mimctl.plugin.manifest import FILE_NAME, read_manifest
from mimctl.plugin.model import BrokenPlugin, Plugin
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

__all__ = [
    "BrokenPlugin",
    "Plugin",
    "discover",
    "find_engine_version",
    "find_package",
    "get_plugin",
    "import_roots",
    "names_of",
    "read_all",
]

_STATES = {"engine-version": "needs another engine", "name-claimed-twice": "shares a name with another toolbox"}


def discover(paths: Sequence[Path]) -> list[Plugin | BrokenPlugin]:
    """Return the toolboxes found on an interpreter's import path `paths`, sorted by name; never raises for one of them.

    A distribution that an earlier folder holds hides the same one in a later folder, as on import.
    """
    found = read_all(paths)
    engine = find_engine_version(import_roots(paths)) if any(map(_needs_engine, found)) else None
    return refuse_shared_words(refuse_other_engines(found, engine))


def read_all(paths: Sequence[Path]) -> list[Plugin | BrokenPlugin]:
    """Return what `discover` does, without asking whether the toolboxes fit the engine and each other."""
    found: list[Plugin | BrokenPlugin] = []
    seen: set[str] = set()
    roots = import_roots(paths)
    for folder in paths:
        for info in sorted(folder.glob("*.dist-info")) if folder.is_dir() else ():
            distribution, _, version = info.name.removesuffix(".dist-info").partition("-")
            distribution = re.sub(r"[-_.]+", "-", distribution).lower()
            if distribution in seen:
                continue
            for name, package in read_entry_points(info / "entry_points.txt"):
                seen.add(distribution)
                found.append(_load(name, package, distribution, version, roots, info))
    found.sort(key=lambda each: (each.name, each.distribution))
    return found


def get_plugin(name: str, plugins: Sequence[Plugin | BrokenPlugin]) -> Plugin:
    """Return the toolbox called `name` (or one of its aliases); raise MimctlError with what to type.

    Codes: plugin-not-installed, broken-plugin, engine-version, name-claimed-twice (which names all that claim it).
    """
    meant = [each for each in plugins if name in names_of(each)]
    meant = meant or [
        each for each in plugins if isinstance(each, BrokenPlugin) and OPENMMLAB_NAMES.get(name) == each.name
    ]
    if not meant:
        raise _not_installed(name, plugins)
    first = meant[0]
    if isinstance(first, Plugin):
        return first
    raise MimctlError(
        f"toolbox `{first.name}` {_STATES.get(first.code, 'is broken')}",
        code=first.code,
        causes=list(dict.fromkeys(each.reason for each in meant if isinstance(each, BrokenPlugin))),
        hints=first.hints or [f"install it again: `mimctl install {first.name}`"],
    )


def names_of(plugin: Plugin | BrokenPlugin) -> tuple[str, ...]:
    """Return what a person can call a toolbox by: its name, its distribution, its aliases."""
    more = plugin.manifest.aliases if isinstance(plugin, Plugin) else plugin.words
    return (plugin.name, plugin.distribution, *more)


def _not_installed(name: str, plugins: Sequence[Plugin | BrokenPlugin]) -> MimctlError:
    installed = [each.name for each in plugins]
    near = nearest(name, {*installed, *OPENMMLAB_NAMES, *OPENMMLAB_NAMES.values()}, most=1)
    wanted = OPENMMLAB_NAMES.get(name, name)
    if wanted not in OPENMMLAB_NAMES.values() and near:
        wanted = OPENMMLAB_NAMES.get(near[0], near[0])
        hints = [f"did you mean `{wanted}`?"]
    else:
        hints = [f"install it: `mimctl install {wanted}`"]
    return MimctlError(
        f"toolbox `{name}` is not installed",
        code="plugin-not-installed",
        causes=[f"installed: {', '.join(installed)}" if installed else "no toolbox is installed"],
        hints=hints,
    )


def _load(
    name: str, package: str, distribution: str, version: str, roots: Sequence[Path], info: Path
) -> Plugin | BrokenPlugin:
    broken = functools.partial(BrokenPlugin, name=name, distribution=distribution, version=version)
    place = find_package(package, roots) or _editable_package(package, info)
    if place is None:
        return broken(reason=f"its package `{package}` is not there")
    try:
        manifest = read_manifest(place / FILE_NAME)
    except MimctlError as err:
        return broken(reason=f"{err}" + (f" ({err.origin})" if err.origin else ""), package_dir=place)
    if manifest.name != name:
        reason = f"its entry point is `{name}`, its manifest says `{manifest.name}`"
        return broken(reason=reason, words=manifest.words, package_dir=place)
    return Plugin(
        name=name,
        package=package,
        package_dir=place,
        distribution=distribution,
        version=version,
        manifest=manifest,
        is_editable=place.parents[package.count(".")].resolve() != info.parent.resolve(),
    )


def find_engine_version(roots: Sequence[Path]) -> str | None:
    """Return the version of the mimctl that an import path leads to, read off its source; None where there is none."""
    package = find_package("mimctl", roots)
    if package is None:
        return None
    try:
        text = (package / "__init__.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"^__version__ = [\"']([^\"']+)[\"']", text, re.MULTILINE)
    return found[1] if found else None


def _needs_engine(plugin: Plugin | BrokenPlugin) -> bool:
    return isinstance(plugin, Plugin) and plugin.manifest.requires_engine is not None


def find_package(package: str, roots: Sequence[Path]) -> Path | None:
    """Return the folder of an import package on the import path, None where there is none."""
    for root in roots:
        place = root.joinpath(*package.split("."))
        if (place / "__init__.py").is_file():
            return place
    return None


def import_roots(paths: Sequence[Path]) -> list[Path]:
    """Return `paths` and the folders that their `.pth` files add (editable installs)."""
    roots = list(paths)
    for folder in paths:
        for pth in sorted(folder.glob("*.pth")) if folder.is_dir() else ():
            try:
                lines = pth.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            for line in lines:
                if line.strip() and not line.startswith(("#", "import ", "import\t")):
                    roots.append(folder / line.strip())
    return roots


def _editable_package(package: str, info: Path) -> Path | None:
    # Editable installs whose `.pth` runs an import hook: the project's folder stands in direct_url.json (PEP 610).
    import json
    from urllib.parse import unquote, urlsplit

    try:
        url = json.loads((info / "direct_url.json").read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError):
        return None
    parts = urlsplit(str(url))
    project = Path(unquote(parts.path))
    return find_package(package, [project, project / "src"]) if parts.scheme == "file" else None
