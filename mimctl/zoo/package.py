"""The zoo of an installed package that follows mim's convention: its metafiles as entries, its own configs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.config import Config
from mimctl.errors import ConfigError, MimctlError
from mimctl.plugin.mim import BrokenMimPackage, MimPackage, find_package
from mimctl.zoo.metafile import read_models
from mimctl.zoo.model import ModelEntry, Zoo, dump_zoo, is_safe_name


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
        from mimctl.zoo.convert import entries_from_facts

        facts = [_one_weights(each) for each in read_models(self.package.root, cache_dir=self.cache_dir).models]
        entries = entries_from_facts(
            [each for each in facts if _is_safe(each)],
            source=f"{self.package.name}=={self.package.version}",
            has_config=lambda path: self._path(path) is not None,
        )
        data: Mapping[str, Any] = json.loads(dump_zoo(Zoo(plugin=plugin, models=tuple(entries))))
        return data

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


def _one_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    # Several weights of one entry are parts of a pipeline (a tracker's detector and embedding), no checkpoint of it.
    weights = model["weights"]
    return {**model, "weights": weights[0] if len(weights) == 1 else None}


def _is_safe(model: Mapping[str, Any]) -> bool:
    names = [model["name"], *model["alias"]]
    weights = model["weights"]
    return all(map(is_safe_name, names)) and (weights is None or _is_address(weights)) and _is_line(model)


def _is_address(text: str) -> bool:
    from urllib.parse import unquote, urlsplit

    return text.isprintable() and is_safe_name(PurePosixPath(unquote(urlsplit(text).path)).name)


def _is_line(model: Mapping[str, Any]) -> bool:
    texts = [model["collection"], model["config"] or ""]
    return all(text.isprintable() and "\\" not in text for text in texts) and not (
        PurePosixPath(model["config"] or "").is_absolute() or ".." in PurePosixPath(model["config"] or "").parts
    )
