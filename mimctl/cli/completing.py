"""Completion of names of configs and models: what is installed and what was seen last; the network is never asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_CONFIGS = (".py", ".yaml", ".yml", ".json")
_WEIGHTS = (".pth", ".pt", ".safetensors")


def complete_config(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of configs of the toolbox that was named, or of all, and config files of this folder."""
    return _with_files(incomplete, lambda: _config_names(_named_toolbox(context)), _CONFIGS)


def complete_model(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return names of models of the zoo and of configs of a toolbox, and checkpoints of this folder."""
    word = _named_toolbox(context)
    return _with_files(incomplete, lambda: {*_config_names(word), *_zoo_names(word)}, _WEIGHTS)


def config_argument(command: _Decorated) -> _Decorated:
    """Add the argument CONFIG: a file, or a name in a toolbox."""
    return click.argument("config", shell_complete=complete_config)(command)


def configs_argument(command: _Decorated) -> _Decorated:
    """Add one or more of CONFIG."""
    return click.argument("configs", nargs=-1, required=True, metavar="CONFIG|DIR...", shell_complete=complete_config)(
        command
    )


def model_argument(command: _Decorated) -> _Decorated:
    """Add the argument MODEL: a checkpoint, or a name of the zoo."""
    return click.argument("model", shell_complete=complete_model)(command)


def complete_plugin(context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the toolboxes and packages of mim's convention that are installed beside mimctl."""
    # Only our own environment: asking another interpreter would make the shell wait.
    from mimctl.plugin.entry_points import plugin_names
    from mimctl.plugin.mim import find_packages
    from mimctl.plugin.paths import import_paths

    paths = import_paths(None)
    names = {*plugin_names(paths), *(each.name for each in find_packages(paths))}
    return sorted(name for name in names if name.startswith(incomplete))


def plugin_option(command: _Decorated) -> _Decorated:
    """Add `--plugin`, the toolbox in which bare names are looked up."""
    return click.option(
        "--plugin",
        metavar="NAME",
        help="The toolbox in which bare names are looked up.  [default: all]",
        shell_complete=complete_plugin,
    )(command)


def _named_toolbox(context: click.Context) -> str | None:
    word = context.params.get("plugin")
    return word if isinstance(word, str) else None


def _with_files(incomplete: str, names: Callable[[], Iterable[str]], suffixes: tuple[str, ...]) -> list[CompletionItem]:
    """Return names and files that begin as typed; the shell's own completion of paths where there are none."""
    from click.shell_completion import CompletionItem

    fits: list[str] = []
    if "/" not in incomplete and not incomplete.startswith((".", "~")):
        here = sorted(entry.name for entry in os.scandir() if entry.name.endswith(suffixes))
        fits = [each for each in (*sorted(names()), *here) if each.startswith(incomplete)]
    if fits:
        return [CompletionItem(each) for each in dict.fromkeys(fits)]
    return [CompletionItem(incomplete, type="file")]


def _config_names(word: str | None) -> set[str]:
    from mimctl.plugin.configs import HasConfigs, list_configs
    from mimctl.plugin.discover import Plugin, read_all
    from mimctl.plugin.paths import import_paths

    paths = import_paths(None)
    plugins = [each for each in read_all(paths) if isinstance(each, Plugin)]
    fits = [each for each in plugins if word in (None, each.name, each.distribution, *each.manifest.aliases)]
    toolboxes: list[HasConfigs] = [*fits]
    if word is None or not fits:  # as elsewhere, ours come before a package of that name
        from mimctl.plugin.mim import MimPackage, find_packages

        packages = (each for each in find_packages(paths) if isinstance(each, MimPackage))
        toolboxes += [each for each in packages if word is None or word in each.words]
    return {path.stem for each in toolboxes for path in list_configs(each)}


def _zoo_names(word: str | None) -> set[str]:
    """Return the models that the indexes of the settings had when they were last read."""
    from mimctl import settings as settings_module
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.seen import names_seen

    settings = settings_module.load()
    return set(names_seen(settings.index, settings.cache_dir, CATALOGUES.get(word or "", word or "")))
