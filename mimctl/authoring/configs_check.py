"""The configs: each is evaluated and checked against the tables of types, as a run of it would be."""

from __future__ import annotations

from collections.abc import Iterator

from mimctl.authoring.model import Examination, Finding, failure
from mimctl.errors import MimctlError, counted
from mimctl.launch.experiments.config_weights import weights_errors
from mimctl.launch.experiments.experiment import load_config
from mimctl.plugin.configs import list_configs
from mimctl.plugin.discover import import_roots

NAME = "configs"


def check_configs(given: Examination) -> Iterator[Finding]:
    """Check every config of the toolbox; those without a mistake stay with the examination."""
    from mimctl.config import check

    plugin = given.as_plugin()
    if plugin is None:
        yield Finding(check=NAME, status="skip", message="the manifest does not say where they are")
        return
    plugins = [plugin, *(each for each in given.place.working_plugins if each.name != plugin.name)]
    roots = import_roots(given.place.paths)
    told: set[tuple[str, str]] = set()
    count = bad = 0
    for path in list_configs(plugin):
        count += 1
        try:
            config = load_config(path, {}, plugins, roots)
            errors: list[MimctlError] = [*check(config, given.tables), *weights_errors(config)]
        except MimctlError as err:
            errors = [err]
        else:
            if not errors:
                given.configs[path] = config
        bad += bool(errors)
        for error in errors:
            # A mistake in a base shows up in every config that is built on it.
            key = (str(error.origin), error.message)
            if key not in told:
                told.add(key)
                yield failure(NAME, error)
    if count and not bad:
        yield Finding(check=NAME, status="ok", message=f"{counted(count, 'config')} without a mistake")
    elif bad:
        yield Finding(check=NAME, status="fail", message=f"of {counted(count, 'config')} {bad} cannot be used")
