"""Which toolbox a word means: a plugin of ours where it is installed, else a package of mim's convention."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.environment.distributions import scan
from mimctl.environment.torch import find_torch
from mimctl.errors import MimctlError, nearest
from mimctl.plugin.discover import BrokenPlugin, Plugin, get_plugin, names_of
from mimctl.plugin.mim import BrokenMimPackage, MimPackage, find_packages
from mimctl.plugin.mim import find_package as find_mim
from mimctl.plugin.mim_needs import Lack, Surroundings, find_lacks, read_requirements

if TYPE_CHECKING:
    from mimctl.launch.place import Workplace

Toolbox = Plugin | MimPackage


def find_toolbox(word: str, place: Workplace) -> Toolbox:
    """Return what `word` means in an environment.

    A plugin's name or alias is that plugin; with a version (`mmdet==3.3.0`) it is that distribution. Raises MimctlError
    [plugin-not-installed] with what is there, [broken-plugin].
    """
    name, _, version = word.partition("==")
    if not version and is_plugin(name, place.plugins):
        return get_plugin(name, place.plugins)
    return find_package(word, place)


def find_package(word: str, place: Workplace) -> MimPackage:
    """Return the package of mim's convention that `word` (`mmdet`, `mmdet==3.3.0`) names, whatever plugin goes by it.

    Raises MimctlError[plugin-not-installed | broken-plugin], [verb-not-offered] for a plugin of ours.
    """
    name, _, version = word.partition("==")
    packages = find_packages(place.paths)
    package = find_mim(name, packages)
    if package is None:
        if not version and is_plugin(name, place.plugins):
            plugin = get_plugin(name, place.plugins)
            verbs = ", ".join(f"`{each}`" for each in sorted(plugin.manifest.verbs))
            raise MimctlError(
                f"toolbox `{plugin.name}` is ours, no package with mim's folder",
                code="verb-not-offered",
                causes=[f"it offers {verbs}"],
            )
        raise _unknown(word, place, packages)
    if isinstance(package, BrokenMimPackage):
        raise MimctlError(f"package `{package.name}` is broken", code="broken-plugin", causes=[package.reason])
    if version and version != package.version:
        raise MimctlError(
            f"`{word}` is not installed",
            code="plugin-not-installed",
            causes=[f"{package.name} {package.version} is"],
            hints=[f"install it: `mimctl install {word}`", f"or take what is there: `{name}=={package.version}`"],
        )
    return package


def find_working_plugin(word: str, place: Workplace) -> Plugin | None:
    """Return the plugin that goes by `word` and can be used, None where there is none."""
    for each in place.working_plugins:
        if word in (each.name, each.distribution, *each.manifest.aliases):
            return each
    return None


def find_installed(word: str, place: Workplace, *, is_required: bool = False) -> MimPackage | None:
    """Return the package that `word` names where it is installed in the version that it names, else None.

    With `is_required` raise MimctlError[plugin-not-installed | broken-plugin] instead.
    """
    name, _, version = word.partition("==")
    package = find_mim(name, find_packages(place.paths))
    if isinstance(package, MimPackage) and version in ("", package.version):
        return package
    return find_package(word, place) if is_required else None


def refuse_package(word: str, place: Workplace) -> None:
    """Raise MimctlError[verb-not-offered] where `word` means a package, for what only a toolbox of ours does."""
    package = None if is_plugin(word, place.plugins) else find_installed(word, place)
    if package is not None:
        raise MimctlError(
            f"`{word}` is a package with scripts of its own, no toolbox of ours",
            code="verb-not-offered",
            causes=[f"{package.name} {package.version} in `{package.root}`"],
            hints=[f"its scripts: `mimctl run {word}`, in Python `mimctl.run({word!r}, ...)`"],
        )


def not_installed(word: str, place: Workplace) -> MimctlError:
    """Return the error for a package that is not in the environment, or not in that version."""
    try:
        find_package(word, place)
    except MimctlError as err:
        return err
    raise AssertionError("it is installed")


def is_plugin(word: str, plugins: Sequence[Plugin | BrokenPlugin]) -> bool:
    """Return whether a plugin that is installed (a broken one too) goes by `word`."""
    return any(word in names_of(each) for each in plugins)


def say_which(word: str, toolbox: Toolbox, place: Workplace) -> str | None:
    """Return one line on what a word was taken for, None where there was no choice."""
    if isinstance(toolbox, MimPackage):
        return f"`{word}` is the package {toolbox.name} {toolbox.version} ({toolbox.root})"
    if word in (toolbox.name, toolbox.distribution):
        return None
    package = find_mim(word, find_packages(place.paths))
    other = f"; the package of that name is `{package.name}=={package.version}`" if package is not None else ""
    return f"`{word}` is the toolbox `{toolbox.name}` {toolbox.version}{other}"


def surroundings(paths: Sequence[Path]) -> Surroundings:
    """Return what packages can depend on in the environment with this import path."""
    torch = find_torch(paths, None).value
    return Surroundings(
        installed={name: each.version for name, each in scan(paths).items()},
        python=python_of(paths),
        torch=torch.version if torch is not None else None,
        paths=tuple(paths),
    )


def lacks_of(package: MimPackage, place: Surroundings) -> list[Lack]:
    """Return what a package requires and does not have."""
    return find_lacks(read_requirements(package), place)


def python_of(paths: Sequence[Path]) -> str:
    """Return the version of Python (`3.11`) that an import path belongs to, read off its folders."""
    for path in paths:
        found = re.search(r"python(3\.\d+)", str(path))
        if found is not None:
            return found[1]
    return ".".join(map(str, sys.version_info[:2]))


def _unknown(word: str, place: Workplace, packages: Sequence[MimPackage | BrokenMimPackage]) -> MimctlError:
    name, _, version = word.partition("==")
    if version:
        return MimctlError(
            f"`{word}` is not installed", code="plugin-not-installed", hints=[f"install it: `mimctl install {word}`"]
        )
    try:
        get_plugin(name, place.plugins)
    except MimctlError as err:
        if not packages:
            return err
        near = nearest(name, {each.name for each in packages}, most=1)
        listed = ", ".join(each.name for each in packages)
        return MimctlError(
            err.message,
            code=err.code,
            causes=[*err.causes, f"packages with mim's folder: {listed}"],
            hints=[f"did you mean `{near[0]}`?"] if near else err.hints,
        )
    raise AssertionError("a plugin of that name was not seen before")
