"""The zoo of an installed package that follows mim's convention: its metafiles as entries, its own configs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.config import Config
from mimctl.errors import ConfigError, MimctlError
from mimctl.plugin.mim import BrokenMimPackage, MimPackage, find_package
from mimctl.zoo.document import document_of
from mimctl.zoo.metafile import read_models
from mimctl.zoo.model import ModelEntry, Zoo


class PackageZoo:
    """What `download_models` asks an index and a source of configs for, answered from an installed package.

    `others` are the packages that its configs may build on (`_base_ = 'mmpretrain::...'`).
    """

    def __init__(
        self, package: MimPackage, *, cache_dir: Path, others: Sequence[MimPackage | BrokenMimPackage] = ()
    ) -> None:
        self.package = package
        self.cache_dir = cache_dir
        self.others = others

    def zoo(self, plugin: str) -> Mapping[str, Any]:
        """Return the models as `zoo/<plugin>.json` holds them; those whose names are unfit for a file are left out."""
        from mimctl.zoo.catalogue.entries import entries_of

        entries = entries_of(
            read_models(self.package.root, cache_dir=self.cache_dir).models,
            source=f"{self.package.name}=={self.package.version}",
            has_config=lambda path: self._path(path) is not None,
        )
        return document_of(Zoo(plugin=plugin, models=tuple(entries)))

    def catalogues(self) -> Collection[str]:
        """Return the one name it has models of."""
        return (self.package.name,)

    def config(self, entry: ModelEntry) -> tuple[Config, str]:
        """Return the flattened config of a model; raise MimctlError[model-config-missing], ConfigError."""
        path = self._path(entry.config or "")
        if path is None:
            raise MimctlError(
                f"the config of `{entry.name}` cannot be found",
                code="model-config-missing",
                causes=[f"the metafile of `{entry.config_source}` names none that is there"],
                hints=["choose another model of the package"],
            )
        return Config.fromfile(path, search=self._base), entry.config_source

    def _path(self, inner: str) -> Path | None:
        path = self.package.configs_dir / inner
        return path if inner and ".." not in PurePosixPath(inner).parts and path.is_file() else None

    def _base(self, reference: str) -> Path:
        owner, _, inner = reference.partition("::")
        package = find_package(owner, [self.package, *self.others])
        if isinstance(package, MimPackage) and ".." not in PurePosixPath(inner).parts:
            path = package.configs_dir / inner
            if path.is_file():
                return path
        raise ConfigError(
            f"the base `{reference}` is not there",
            code="config-base",
            hints=[] if package is not None else [f"install the package that holds it: `mimctl install {owner}`"],
        )
