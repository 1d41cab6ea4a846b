"""Experiment configs, looked into without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.config import Config


def show_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> Config:
    """Return a config with its bases and overrides resolved; a bare name is looked up in `plugin`."""
    from mimctl.launch.experiment import existing_config, load_config, parse_overrides
    from mimctl.plugin.configs import find_config
    from mimctl.plugin.discover import get_plugin

    place = workplace(settings or settings_module.load())
    path = find_config(config, get_plugin(plugin, place.plugins)) if plugin else existing_config(config)
    return load_config(path, parse_overrides(cfg_options), place.working_plugins)


def lint_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> None:
    """Check a config against the tables of the target's engine and toolboxes; raise ConfigError for what is wrong."""
    from mimctl.launch.config_weights import weights_errors
    from mimctl.launch.experiment import check_config, raise_all, type_tables
    from mimctl.plugin.discover import import_roots

    settings = settings or settings_module.load()
    evaluated = show_config(plugin, config, cfg_options, settings=settings)
    place = workplace(settings)
    check_config(evaluated, type_tables(place.working_plugins, import_roots(place.paths)))
    raise_all(weights_errors(evaluated))
