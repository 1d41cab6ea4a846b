"""Read an experiment config as data and find its mistakes before any process starts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.errors import ConfigError
from mimctl.plugin.configs import find_config
from mimctl.plugin.discover import Plugin

if TYPE_CHECKING:
    from mimctl.config import Config


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `--cfg-options` as dotted path → value; a later one wins."""
    from mimctl.config import parse_override

    return dict(parse_override(pair) for pair in pairs)


def load_config(
    path: Path, overrides: Mapping[str, Any], plugins: Sequence[Plugin], roots: Sequence[Path] = ()
) -> Config:
    """Evaluate a config with its bases and overrides; raise ConfigError with file and line.

    `roots` is the target's import path, on which other packages that carry configs are found.
    """
    from mimctl.config import Config

    def search(reference: str) -> Path:
        return find_base(reference, path, plugins, roots)

    return Config.fromfile(path, overrides=overrides, search=search)


def find_base(reference: str, config: Path, plugins: Sequence[Plugin], roots: Sequence[Path]) -> Path:
    """Return the file of a base that `config` names as `toolbox::path`: of ours, else of any package with configs.

    A config that lies in a package is built on the packages beside it first, as in an unpacked wheel.
    """
    from mimctl.config.files.packages import beside, find_in_packages

    with contextlib.suppress(ConfigError):
        return find_in_packages(reference, beside(str(config)))
    try:
        return find_in_toolbox(reference, plugins)
    except ConfigError:
        with contextlib.suppress(ConfigError):
            return find_in_packages(reference, roots)
        raise


def find_in_toolbox(reference: str, plugins: Sequence[Plugin]) -> Path:
    """Return the file that `toolbox::folder/name.py` in `_base_` means."""
    name, _, inner = reference.partition("::")
    for plugin in plugins:
        if name in (plugin.name, plugin.package, plugin.distribution, *plugin.manifest.aliases):
            place = plugin.configs_dir / inner
            return place if place.is_file() else find_config(Path(inner).stem, plugin)
    raise ConfigError(
        f"`{reference}` names a toolbox that is not installed",
        code="plugin-not-installed",
        hints=[f"install it: `mimctl install {name}`"],
    )


def check_config(config: Config, tables: Sequence[Mapping[str, Any]]) -> None:
    """Raise one ConfigError that names every mistake found, the first with its file and line."""
    from mimctl.config import check

    raise_all(check(config, tables))


def raise_all(errors: Sequence[ConfigError]) -> None:
    """Raise the first error with the others as further causes; none → return."""
    from mimctl.config.checking import raise_all as raise_found

    raise_found(errors)
