"""The weights that go into a bundle: those that were named, those that configs name, those of models of the zoo."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from mimctl.bundling.models import Model, model_called, model_of_config
from mimctl.bundling.parts import Weights
from mimctl.config.weight_names import is_short_name
from mimctl.errors import ConfigError, UsageError
from mimctl.installer.inspection.wheel_archive import open_archive
from mimctl.launch.experiments.config_weights import remote_weights
from mimctl.launch.experiments.experiment import load_config
from mimctl.plugin.configs import find_config
from mimctl.plugin.discover import Plugin, discover
from mimctl.transfer import is_elsewhere, sha256_of
from mimctl.zoo.source import ZooModels
from mimctl.zoo.weights import source_of


def named_weights(addresses: Sequence[str], models: ZooModels) -> list[Weights]:
    """Return weights by their addresses, fetched into the cache.

    Raises UsageError for what is no address of the network, and what fetching raises.
    """
    for each in addresses:
        if not is_elsewhere(each) and not is_short_name(each):
            raise UsageError(
                f"`--weights {each}` is no address",
                causes=["weights are carried for configs that name them by their address"],
                hints=["a file of your own is data: `--dataset FOLDER`"],
            )
    # A short name is carried as the address that it stands for: by that the other machine looks for it, too.
    found = models.fetch(list(dict.fromkeys(source_of(each).url or each for each in addresses)))
    return [Weights(url=url, path=Path(path), sha256=sha256_of(Path(path))) for url, path in found.items()]


def config_weights(
    configs: Sequence[str], wheels: Iterable[Path], models: ZooModels
) -> tuple[list[Weights], list[Model]]:
    """Return the weights that configs name (`load_from`, pretrained parts of models) and the models of the zoo that
    are trained by them, fetched into the cache.

    Configs are paths, or names in one of the toolboxes that `wheels` hold, which are read and not run; what is neither
    is a model of the zoo by its name. Raises ConfigError[config-not-found | config-ambiguous], MimctlError
    [model-ambiguous | no-weights], and what fetching raises.
    """
    if not configs:
        return [], []
    addresses: list[str] = []
    found: dict[tuple[str, str], Model] = {}
    with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
        place = Path(folder)
        for wheel in wheels:
            with open_archive(wheel) as archive:
                archive.extractall(place)
        plugins = [each for each in discover([place]) if isinstance(each, Plugin)]
        for config in configs:
            named, model = _carried(config, plugins, models)
            addresses += named
            if model is not None:
                found[model.plugin, model.entry.name] = model
    return named_weights(addresses, models), list(found.values())


def _carried(config: str, plugins: Sequence[Plugin], models: ZooModels) -> tuple[list[str], Model | None]:
    """Return the addresses that a config names and the model of the zoo that belongs to it."""
    try:
        path = _find(config, plugins)
    except ConfigError as err:
        model = model_called(config, plugins, models) if err.code == "config-not-found" else None
        if model is None:
            raise
        return [], model
    return list(remote_weights(load_config(path, {}, plugins))), model_of_config(path, plugins, models)


def _find(config: str, plugins: Sequence[Plugin]) -> Path:
    """Return a config by its name in whichever toolbox has it."""
    problem: ConfigError | None = None
    for plugin in plugins:
        try:
            return find_config(config, plugin)
        except ConfigError as err:
            problem = problem or err
    raise problem or ConfigError(
        f"no toolbox of the bundle has a config `{config}`",
        code="config-not-found",
        causes=["there is no toolbox among what is bundled"],
    )
