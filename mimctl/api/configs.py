"""Experiment configs, looked into without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.config import Config
    from mimctl.config.writing.history import History
    from mimctl.errors import ConfigError
    from mimctl.launch.place import Workplace


def show_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> Config:
    """Return a config with its bases and overrides resolved.

    `config` is a path, a name in an installed toolbox (in `plugin` alone, where it is given) or `toolbox::path`.
    """
    place = workplace(settings or settings_module.load())
    return _load(config, plugin, cfg_options, place)


def trace_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> History:
    """Return a config together with where each of its values came from, base by base."""
    from mimctl.config.writing.history import History

    place = workplace(settings or settings_module.load())
    return History(_load(config, plugin, cfg_options, place), _search(place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What checking configs found: how many files were looked at, and each mistake with the configs that have it."""

    num_files: int
    mistakes: tuple[tuple[ConfigError, tuple[str, ...]], ...]


def lint_config(
    plugin: str | None,
    config: str | Sequence[str],
    cfg_options: Sequence[str] = (),
    *,
    note: Callable[[str], None] | None = None,
    settings: Settings | None = None,
) -> Linted:
    """Check configs against the tables of the target's engine and toolboxes and return every mistake.

    `config` is one config or several; of a folder all that are below it, but for those that others are built on
    (`_base_`). A config that cannot be read is a mistake, the others go on. `note` is told of tables that are behind
    their source. Raises UsageError[config-not-found],
    MimctlError[engine-missing].
    """
    from mimctl.config import check
    from mimctl.errors import ConfigError
    from mimctl.launch.experiments.config_weights import weights_errors
    from mimctl.launch.experiments.type_tables import type_tables
    from mimctl.plugin.discover import import_roots

    settings = settings or settings_module.load()
    place = workplace(settings)
    roots = import_roots(place.paths)
    tables = type_tables(place.working_plugins, roots, cache_dir=settings.cache_dir, note=note)
    found: dict[tuple[str, str, str], tuple[ConfigError, list[str]]] = {}
    num_files = 0
    for name in [config] if isinstance(config, str) else config:
        for path in _configs_of(name, plugin, place):
            num_files += 1
            try:
                evaluated = _load(str(path), None, cfg_options, place)
                errors = [*check(evaluated, tables), *weights_errors(evaluated)]
            except ConfigError as err:
                errors = [err]
            for error in errors:
                key = (error.code, error.message, str(error.origin))
                found.setdefault(key, (error, []))[1].append(str(path))
    return Linted(num_files=num_files, mistakes=tuple((error, tuple(paths)) for error, paths in found.values()))


def _configs_of(name: str, plugin: str | None, place: Workplace) -> Iterator[Path]:
    from mimctl.launch.experiments.config_names import resolve_config
    from mimctl.plugin.configs import list_below

    folder = Path(name).expanduser()
    if folder.is_dir():
        yield from list_below(folder)
    else:
        yield resolve_config(name, place, plugin)


def _load(config: str, plugin: str | None, cfg_options: Sequence[str], place: Workplace) -> Config:
    from mimctl.launch.experiments.config_names import resolve_config
    from mimctl.launch.experiments.experiment import load_config, parse_overrides
    from mimctl.plugin.discover import import_roots

    path = resolve_config(config, place, plugin)
    return load_config(path, parse_overrides(cfg_options), place.working_plugins, import_roots(place.paths))


def _search(place: Workplace) -> Callable[[str], Path]:
    from mimctl.launch.experiments.experiment import find_base
    from mimctl.plugin.discover import import_roots

    roots = import_roots(place.paths)
    return lambda reference: find_base(reference, Path(), place.working_plugins, roots)
