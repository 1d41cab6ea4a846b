"""The config of a model: our own, the index's, or the publisher's, read as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from mimctl.config import Config
from mimctl.errors import MimctlError, NetworkError
from mimctl.index.cache import DocumentCache, Kept
from mimctl.settings import Settings
from mimctl.transfer import Note, get_bytes, is_remote
from mimctl.zoo.model import ModelEntry
from mimctl.zoo.upstream import upstream_configs
from mimctl.zoo.upstream_bases import bases_of
from mimctl.zoo.way import transfer_settings


class ConfigSource(Protocol):
    """Who holds the configs of all models of one request."""

    def config(self, entry: ModelEntry) -> tuple[Config, str]:
        """Return the flattened config of a model and whose it is (`mmdet==3.3.0`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfigs:
    """Where the configs of a toolbox's models are looked for.

    `configs_dir` holds the toolbox's own, which are preferred; others come out of the published wheel through the pip
    of `python`; `source` takes the place of all that.
    """

    plugin: str
    settings: Settings
    configs_dir: Path | None = None
    source: ConfigSource | None = None
    python: Path | None = None
    note: Note | None = None

    def find(self, entry: ModelEntry) -> tuple[Config, str]:
        """Return the config of `entry`, flattened, and whose it is: "mimctl", or a distribution (`mmdet==3.3.0`).

        Raises MimctlError[model-config-missing], NetworkError[offline | package-index], ConfigError.
        """
        if self.source is not None:
            return self.source.config(entry)
        if entry.config and self.configs_dir is not None and (self.configs_dir / entry.config).is_file():
            return Config.fromfile(self.configs_dir / entry.config), "mimctl"
        if entry.config_file is not None and entry.address is not None:
            url = f"{entry.address.rstrip('/')}/{entry.config_file}"
            return Config.fromstring(self._body(url).decode(), PurePosixPath(url).suffix, origin=url), "mimctl"
        if entry.config is None or entry.config_source == "mimctl":
            raise _no_config(entry, self.plugin)
        root = self._upstream(entry.config_source)
        path = root / entry.config
        if not path.is_file():
            raise _no_config(entry, self.plugin)
        search = bases_of(root, entry.config_source, self._upstream)
        return Config.fromfile(path, search=search), entry.config_source

    def _upstream(self, requirement: str) -> Path:
        return upstream_configs(
            requirement,
            cache_dir=self.settings.cache_dir,
            is_offline=self.settings.offline,
            python=self.python,
            note=self.note,
        )

    def _body(self, url: str) -> bytes:
        """Return a config that an index carries; offline the one that was seen last."""
        cache = DocumentCache(self.settings.cache_dir / "index")
        known = cache.read(url) if is_remote(url) else None
        try:
            answer = get_bytes(
                url,
                etag=known.etag if known is not None else None,
                settings=transfer_settings(self.settings),
                note=self.note,
            )
        except NetworkError:
            if known is None or known.body is None:
                raise
            return known.body
        if answer.status == 304 and known is not None and known.body is not None:
            return known.body
        if is_remote(url):
            cache.write(url, Kept(body=answer.body, etag=answer.etag))
        return answer.body


def _no_config(entry: ModelEntry, plugin: str) -> MimctlError:
    if entry.config_source == "mimctl":
        causes = [f"`{entry.config}` comes with the toolbox, which is not installed in the target environment"]
        hints = [f"install the toolbox first: `mimctl install {plugin}`"]
    else:
        causes = [f"`{entry.config_source}` does not hold the config that its zoo names"]
        hints = ["choose another model of the zoo"]
    return MimctlError(
        f"the config of `{entry.name}` cannot be found", code="model-config-missing", causes=causes, hints=hints
    )
