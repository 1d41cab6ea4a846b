"""Find the toolboxes of an environment by scanning its folders for entry points of the group `mimctl.plugins`.

`importlib.metadata` would cost seven times the start of Python; the files it reads are simple enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError, nearest
from mimctl.plugin.manifest import Manifest, read_manifest
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

GROUP = "mimctl.plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One installed toolbox."""

    name: str
    package: str
    package_dir: Path
    distribution: str
    version: str
    manifest: Manifest

    @property
    def configs_dir(self) -> Path:
        """The root of its configs."""
        return self.package_dir / self.manifest.configs_root


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlugin:
    """A distribution that says it is a toolbox and cannot be used; `reason` says why."""

    name: str
    distribution: str
    version: str
    reason: str


def discover(paths: Sequence[Path]) -> list[Plugin | BrokenPlugin]:
    """Return the toolboxes found on an interpreter's import path `paths`, sorted by name; never raises for one of them.

    A distribution that an earlier folder holds hides the same one in a later folder, as on import.
    """
    found: dict[str, Plugin | BrokenPlugin] = {}
    seen: set[str] = set()
    roots = import_roots(paths)
    for folder in paths:
        for info in sorted(folder.glob("*.dist-info")) if folder.is_dir() else ():
            distribution, _, version = info.name.removesuffix(".dist-info").partition("-")
            distribution = re.sub(r"[-_.]+", "-", distribution).lower()
            if distribution in seen:
                continue
            for name, package in _entry_points(info / "entry_points.txt"):
                seen.add(distribution)
                found.setdefault(name, _load(name, package, distribution, version, roots, info))
    return _refuse_shared_names([found[name] for name in sorted(found)])


def plugin_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the toolboxes on an import path, sorted, without looking into them."""
    infos = (info for folder in paths if folder.is_dir() for info in folder.glob("*.dist-info"))
    return sorted({name for info in infos for name, _ in _entry_points(info / "entry_points.txt")})


def get_plugin(name: str, plugins: Sequence[Plugin | BrokenPlugin]) -> Plugin:
    """Return the toolbox called `name` (or one of its aliases); raise MimctlError with what to type."""
    for each in plugins:
        names = (each.name, *(each.manifest.aliases if isinstance(each, Plugin) else ()), each.distribution)
        if name in names or (isinstance(each, BrokenPlugin) and OPENMMLAB_NAMES.get(name) == each.name):
            if isinstance(each, Plugin):
                return each
            raise MimctlError(
                f"toolbox `{each.name}` is broken",
                code="broken-plugin",
                causes=[each.reason],
                hints=[f"install it again: `mimctl install {each.name}`"],
            )
    raise _not_installed(name, plugins)


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


def _entry_points(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if GROUP not in text:
        return
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.partition(":")[0].strip()


def _load(
    name: str, package: str, distribution: str, version: str, roots: Sequence[Path], info: Path
) -> Plugin | BrokenPlugin:
    place = find_package(package, roots) or _editable_package(package, info)
    if place is None:
        reason = f"its package `{package}` is not there"
        return BrokenPlugin(name=name, distribution=distribution, version=version, reason=reason)
    try:
        manifest = read_manifest(place / "plugin.toml")
    except (MimctlError, OSError) as err:
        origin = getattr(err, "origin", None)
        reason = f"{err}" + (f" ({origin})" if origin else "")
        return BrokenPlugin(name=name, distribution=distribution, version=version, reason=reason)
    if manifest.name != name:
        reason = f"its entry point is `{name}`, its manifest says `{manifest.name}`"
        return BrokenPlugin(name=name, distribution=distribution, version=version, reason=reason)
    return Plugin(
        name=name, package=package, package_dir=place, distribution=distribution, version=version, manifest=manifest
    )


def _refuse_shared_names(plugins: list[Plugin | BrokenPlugin]) -> list[Plugin | BrokenPlugin]:
    owners: dict[str, list[str]] = {}
    for each in plugins:
        if isinstance(each, Plugin):
            for word in {each.name, *each.manifest.aliases, *each.manifest.scopes}:
                owners.setdefault(word, []).append(each.distribution)
    shared = {word: names for word, names in owners.items() if len(names) > 1}
    checked: list[Plugin | BrokenPlugin] = []
    for each in plugins:
        clash = [word for word, names in sorted(shared.items()) if each.distribution in names]
        if isinstance(each, Plugin) and clash:
            others = sorted({other for word in clash for other in shared[word]} - {each.distribution})
            reason = f"the name `{clash[0]}` is claimed by {' and '.join(others)} too; uninstall one"
            checked.append(
                BrokenPlugin(name=each.name, distribution=each.distribution, version=each.version, reason=reason)
            )
        else:
            checked.append(each)
    return checked


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
