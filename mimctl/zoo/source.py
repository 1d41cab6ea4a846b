"""The zoo as runs use it: weights that a config names, weights to start from, a whole model by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimctl.errors import ConfigError, ExitCode, MimctlError, NetworkError
from mimctl.index.client import IndexClient
from mimctl.plugin.discover import Plugin
from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note
from mimctl.zoo.download import Downloaded, download_models
from mimctl.zoo.model import ModelEntry
from mimctl.zoo.reading import load_zoo
from mimctl.zoo.way import transfer_settings
from mimctl.zoo.weights import fetch_weights, obtain


class ZooModels:
    """Brings weights and models of the zoo into the cache; `progress` and `note` are told what happens."""

    def __init__(self, settings: Settings, *, progress: FileProgress | None = None, note: Note | None = None) -> None:
        self.settings = settings
        self.progress = progress
        self.note = note

    def fetch(self, addresses: Sequence[str]) -> Mapping[str, str]:
        """Return address → local file; raise NetworkError where one is not at hand."""
        return {
            address: str(fetch_weights(address, settings=self.settings, progress=self.progress, note=self.note))
            for address in addresses
        }

    def start_weights(self, plugin: Plugin, config: Path) -> Path:
        """Return the zoo's weights for a config by its name, or by that of a base with the same model.

        Raises NetworkError[weights-not-at-hand].
        """
        try:
            models = [entry for entry in load_zoo(self._client(), plugin.name).models if entry.weights is not None]
            names = _names_of_model(config)
            fits = [entry for name in names for entry in models if name in entry.short_names]
            if not fits or fits[0].weights is None:
                raise MimctlError(f"the zoo has no weights for `{config.stem}`", code="unknown-model")
            entry, source = fits[0], fits[0].weights
            address = entry.address
            return obtain(source, settings=self.settings, address=address, progress=self.progress, note=self.note).path
        except MimctlError as err:
            raise NetworkError(
                f"weights to start `{config.stem}` from are not at hand",
                code="weights-not-at-hand",
                causes=[err.message, *err.causes],
                hints=["start from scratch: `--weights none`", "or name a file: `--weights PATH`", *err.hints],
                exit_code=ExitCode.NETWORK,
            ) from err

    def model(self, plugin: Plugin, name: str) -> tuple[Path, Path]:
        """Return (config, checkpoint) of a zoo model, fetched into the cache."""
        found = self.download(plugin, name)
        return found.config, found.checkpoint

    def entries(self, plugin: Plugin) -> Sequence[ModelEntry]:
        """Return what the zoo has of a toolbox, nothing where no index has a zoo for it; raise NetworkError."""
        try:
            return load_zoo(self._client(), plugin.name).models
        except MimctlError as err:
            if err.code not in ("no-zoo", "no-index"):
                raise
            return ()

    def download(self, plugin: Plugin, name: str) -> Downloaded:
        """Return a zoo model with all that is known of it, fetched into the cache."""
        return download_models(
            plugin.name,
            [name],
            index=self._client(),
            settings=self.settings,
            configs_dir=plugin.configs_dir,
            python=self.settings.python,
            progress=self.progress,
            note=self.note,
        )[0]

    def _client(self) -> IndexClient:
        settings = self.settings
        return IndexClient(settings.index, transfer_settings(settings), settings.cache_dir, settings.offline)


def _names_of_model(config: Path) -> list[str]:
    """Return the config's name, then those of its bases that describe the same model, the nearest first."""
    from mimctl.config import Config

    names = [config.stem]
    with contextlib.suppress(ConfigError):  # what is wrong with it is said where it is prepared
        own = Config.fromfile(config)
        for file in reversed(own.files[:-1]):
            if "model" in own and Config.fromfile(file).get("model") == own["model"]:
                names.append(Path(file).stem)
    return names
