"""The config that a person means where no toolbox is named: a path, a name in any toolbox, or `toolbox::path`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.errors import ConfigError, Origin, UsageError, did_you_mean, nearest
from mimctl.launch.experiments.experiment import find_base
from mimctl.launch.toolbox import Toolbox, find_toolbox
from mimctl.plugin.configs import SUFFIXES, find_config, list_configs
from mimctl.plugin.discover import import_roots
from mimctl.plugin.mim import MimPackage, find_packages

if TYPE_CHECKING:
    from mimctl.launch.place import Workplace


def resolve_config(text: str, place: Workplace, plugin: str | None = None) -> Path:
    """Return the file that `text` means; with `plugin` a bare name is one of that toolbox (or package) alone.

    Our toolboxes come before packages of mim's convention. Raises ConfigError[config-not-found] with the nearest names,
    [config-ambiguous] with all that fit, MimctlError[plugin-not-installed].
    """
    if "::" in text:
        return find_base(text, Path(), place.working_plugins, import_roots(place.paths))
    if plugin is not None:
        return find_config(text, find_toolbox(plugin, place))
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigError(f"config `{text}` is a folder", code="config-not-found", hints=[f"name a file: `{text}/...`"])
    packages = [each for each in find_packages(place.paths) if isinstance(each, MimPackage)]
    if path.suffix in SUFFIXES or "/" in text:
        raise _no_file(text, path, [*place.working_plugins, *packages])
    for toolboxes in (place.working_plugins, packages):
        hits = [(each, found) for each in toolboxes for found in _named(text, each)]
        if len(hits) == 1:
            return hits[0][1]
        if hits:
            raise ConfigError(
                f"config `{text}` fits {len(hits)} configs",
                code="config-ambiguous",
                causes=[f"{toolbox.name}: {found.relative_to(toolbox.configs_dir)}" for toolbox, found in hits],
                hints=["name one of them, and its toolbox: `--plugin NAME`"],
            )
    raise _no_name(text, [*place.working_plugins, *packages])


def _named(text: str, toolbox: Toolbox) -> list[Path]:
    configs = list(list_configs(toolbox))
    exact = [each for each in configs if each.stem == text]
    return exact or [each for each in configs if each.stem.startswith(f"{text}_")]


def _no_file(text: str, path: Path, toolboxes: Sequence[Toolbox]) -> UsageError:
    folder = path.parent
    names = {each.name for each in folder.iterdir() if each.suffix in SUFFIXES} if folder.is_dir() else set()
    near = [str(folder / each) for each in nearest(path.name, names, most=2)]
    if not near:
        near = [each.stem for toolbox in toolboxes for each in list_configs(toolbox) if each.stem == path.stem][:2]
    return UsageError(
        f"config `{text}` does not exist",
        code="config-not-found",
        causes=[] if folder.is_dir() else [f"there is no folder `{folder}`"],
        origin=Origin(file=text),
        hints=did_you_mean(dict.fromkeys(near)),
    )


def _no_name(text: str, toolboxes: Sequence[Toolbox]) -> UsageError:
    stems = {each.stem for toolbox in toolboxes for each in list_configs(toolbox)}
    here = {each.name for each in Path().iterdir() if each.suffix in SUFFIXES}
    near = nearest(text, stems | {each.split("_8x")[0] for each in stems} | here | {Path(each).stem for each in here})
    near = [next((file for file in sorted(here) if Path(file).stem == each), each) for each in near]
    if near:
        hints = did_you_mean(dict.fromkeys(near))
    elif toolboxes:
        hints = ["all names: press Tab after `mimctl config show` (`mimctl completions bash`)"]
    else:
        hints = ["install a toolbox, it brings configs: `mimctl install det`"]
    looked = ", ".join(each.name for each in toolboxes)
    return UsageError(
        f"there is no config `{text}`, as a file or by its name",
        code="config-not-found",
        causes=[f"looked through the configs of {looked}" if looked else "no toolbox is installed"],
        hints=hints,
    )
