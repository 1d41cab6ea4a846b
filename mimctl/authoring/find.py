"""Find the toolbox that is meant: a folder in which one is written, or the name of an installed one."""

from __future__ import annotations

from pathlib import Path

from mimctl.authoring.model import Subject
from mimctl.config.tables.sources import module_name_of
from mimctl.errors import UsageError
from mimctl.launch.place import Workplace
from mimctl.plugin.discover import get_plugin, names_of
from mimctl.plugin.manifest import FILE_NAME
from mimctl.plugin.model import BrokenPlugin, Plugin


def find_subject(text: str, place: Workplace) -> Subject:
    """Return the toolbox in the folder `text`, or the installed one of that name (a broken one too).

    Raises UsageError[no-toolbox-here], MimctlError[plugin-not-installed].
    """
    folder = Path(text).expanduser()
    if folder.is_dir():
        return _in_folder(text, folder.resolve(), place)
    for each in place.plugins:
        if text in names_of(each) and each.package_dir is not None:
            return _installed(each, each.package_dir.resolve(), place)
    plugin = get_plugin(text, place.plugins)
    return _installed(plugin, plugin.package_dir.resolve(), place)


def _in_folder(text: str, folder: Path, place: Workplace) -> Subject:
    found = [folder] if (folder / FILE_NAME).is_file() else []
    found = found or sorted(
        {path.parent for path in (*folder.glob(f"*/{FILE_NAME}"), *folder.glob(f"src/*/{FILE_NAME}"))}
    )
    if not found:
        found = [each for each in _around(folder) if (each / FILE_NAME).is_file()][:1]
    if len(found) != 1:
        raise UsageError(
            f"`{text}` holds {'no toolbox' if not found else f'{len(found)} toolboxes'}",
            code="no-toolbox-here",
            causes=[f"looked for `{FILE_NAME}` in it, in its folders, in those of `src`, and in packages around it"]
            if not found
            else [str(each.relative_to(folder)) for each in found],
            hints=["name the folder of one package, or an installed toolbox: `mimctl plugin check det`"],
        )
    package_dir = found[0]
    for each in place.plugins:
        if each.package_dir is not None and each.package_dir.resolve() == package_dir:
            return _installed(each, package_dir, place)
    return Subject(
        package=_package_of(package_dir), package_dir=package_dir, is_source=True, project_dir=_project_of(package_dir)
    )


def _installed(plugin: Plugin | BrokenPlugin, package_dir: Path, place: Workplace) -> Subject:
    package = plugin.package if isinstance(plugin, Plugin) else _package_of(package_dir)
    sites = {path.resolve() for path in place.paths if any(path.glob("*.dist-info"))}
    is_source = package_dir.parents[package.count(".")] not in sites
    return Subject(
        package=package,
        package_dir=package_dir,
        is_source=is_source,
        project_dir=_project_of(package_dir) if is_source else None,
        distribution=plugin.distribution,
    )


def _package_of(package_dir: Path) -> str:
    return module_name_of(package_dir / "__init__.py") or package_dir.name


def _around(folder: Path) -> list[Path]:
    """Return the packages that a folder lies in: one may stand among a toolbox's models or configs."""
    inside = []
    for each in folder.parents:
        if (each / "pyproject.toml").is_file():
            break
        inside.append(each)
    else:
        return []  # a folder of no project: what lies far above is not meant
    return inside


def _project_of(package_dir: Path) -> Path | None:
    near = list(package_dir.parents)[:3]
    return next((each for each in near if (each / "pyproject.toml").is_file()), None)
