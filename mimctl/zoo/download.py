"""`download` in full: names become weights and a flattened config that lie side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from mimctl import __version__
from mimctl.config import Config
from mimctl.errors import ConfigError, MimctlError
from mimctl.settings import Settings
from mimctl.transfer import Note, download, get_bytes, locked
from mimctl.zoo.config_file import Written, write_config
from mimctl.zoo.model import ModelEntry, WeightsSource, resolve_name
from mimctl.zoo.reading import ZooSource, load_zoo
from mimctl.zoo.upstream import upstream_configs
from mimctl.zoo.way import transfer_settings
from mimctl.zoo.weights import Check, FileProgress, check_of, fetch_weights, obtain

__all__ = [
    "Downloaded",
    "download_models",
    "fetch_weights",
]


class ConfigSource(Protocol):
    """Who holds the configs of all models of one request."""

    def config(self, entry: ModelEntry) -> tuple[Config, str]:
        """Return the flattened config of a model and whose it is (`mmdet==3.3.0`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A model that lies on disk. `config` says where its settings are, `checkpoint` where its weights are."""

    name: str
    config: Path
    checkpoint: Path
    sha256: str
    check: Check
    """What stands behind the weights: their whole SHA-256, the digits in their name ("32-bit"), nothing."""
    config_source: str
    """"mimctl" (a config of ours) or the distribution it was taken from, as `mmdet==3.3.0`."""
    config_state: Written
    """"new", "same" (nothing to do) or "kept" (the file there was edited, or is not ours)."""
    needs_trust: bool
    """Whether the config imports code of others, so that using it needs `--trust-config`."""
    is_new: bool
    """Whether anything was written."""


def download_models(
    plugin: str,
    names: Sequence[str],
    *,
    dest: Path | None = None,
    index: ZooSource,
    settings: Settings,
    mirrors: Mapping[str, str] | None = None,
    configs_dir: Path | None = None,
    configs: ConfigSource | None = None,
    python: Path | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> list[Downloaded]:
    """Fetch the models called `names` of a toolbox and return where each lies, in the order of `names`.

    `dest` is a folder (None: the cache itself). `mirrors` maps a host to the address that stands for it (`ANY_HOST`
    for all) and comes before the setting of that name. `configs_dir` holds the toolbox's own configs, which are
    preferred; others come out of the published wheel through the pip of `python`; `configs` takes the place of all
    that. All names are resolved before anything is fetched. A config that was edited is kept.
    Raises MimctlError: `unknown-model`, `model-ambiguous`, `no-zoo`, `no-weights`, `model-config-missing`; what
    `transfer.download` raises; NetworkError[package-index].
    """
    zoo = load_zoo(index, plugin)
    entries = [resolve_name(zoo.models, name) for name in names]
    for entry in entries:
        _require_weights(entry)
    job = _Job(plugin, settings, dest, mirrors or {}, configs_dir, configs, python, progress, note)
    return [job.download(entry) for entry in entries]


class _Job:
    """The choices that all models of one request share."""

    def __init__(
        self,
        plugin: str,
        settings: Settings,
        dest: Path | None,
        mirrors: Mapping[str, str],
        configs_dir: Path | None,
        configs: ConfigSource | None,
        python: Path | None,
        progress: FileProgress | None,
        note: Note | None,
    ) -> None:
        self.plugin = plugin
        self.settings = settings
        self.dest = None if dest is None else Path(dest).expanduser().absolute()
        self.mirrors = mirrors
        self.configs_dir = configs_dir
        self.configs = configs
        self.python = python
        self.progress = progress
        self.note = note

    def download(self, entry: ModelEntry) -> Downloaded:
        """Bring one model: weights into the cache, the config, then both to their place."""
        cached = obtain(
            _require_weights(entry),
            settings=self.settings,
            address=entry.address,
            mirrors=self.mirrors,
            progress=self.progress,
            note=self.note,
        )
        if cached.is_new and cached.check != "sha256":
            self._say_check(cached.path.name, cached.check)
        config, source = self._config(entry)
        checkpoint, is_placed = cached.path, False
        if self.dest is not None:
            checkpoint = self.dest / cached.path.name
            before = _stamp(checkpoint)
            download(str(cached.path), checkpoint, sha256=cached.sha256, note=self.note)
            is_placed = _stamp(checkpoint) != before
        path = checkpoint.parent / f"{_config_name(entry)}.py"
        title = f"{entry.name}: flattened from the configs of {source} by mimctl {__version__}"
        with locked(path, self.note):
            state = write_config(path, config, title=title, weights=checkpoint.name)
        if state == "kept" and self.note is not None:
            self.note(f"kept `{path}`: it was edited, or another tool wrote it")
        return Downloaded(
            name=entry.name,
            config=path,
            checkpoint=checkpoint,
            sha256=cached.sha256,
            check=cached.check,
            config_source=source,
            config_state=state,
            needs_trust="custom_imports" in config,
            is_new=cached.is_new or is_placed or state == "new",
        )

    def _config(self, entry: ModelEntry) -> tuple[Config, str]:
        """Return the flattened config of `entry` and whose it is: ours, the index's, or the publisher's."""
        if self.configs is not None:
            return self.configs.config(entry)
        if entry.config and self.configs_dir is not None and (self.configs_dir / entry.config).is_file():
            return Config.fromfile(self.configs_dir / entry.config), "mimctl"
        if entry.config_file is not None and entry.address is not None:
            url = f"{entry.address.rstrip('/')}/{entry.config_file}"
            body = get_bytes(url, settings=transfer_settings(self.settings), note=self.note).body
            return Config.fromstring(body.decode(), PurePosixPath(entry.config_file).suffix, origin=url), "mimctl"
        if entry.config is None or entry.config_source == "mimctl":
            raise _no_config(entry, self.plugin)
        root = upstream_configs(
            entry.config_source,
            cache_dir=self.settings.cache_dir,
            is_offline=self.settings.offline,
            python=self.python,
            note=self.note,
        )
        path = root / entry.config
        if not path.is_file():
            raise _no_config(entry, self.plugin)
        return Config.fromfile(path, search=_inside(root, entry)), entry.config_source

    def _say_check(self, name: str, check: Check) -> None:
        if self.note is not None:
            self.note(check_of(name, check))


def _inside(root: Path, entry: ModelEntry) -> Any:
    """Return the lookup of `package::path` bases: only those of the package that the configs came from."""
    package = entry.config_source.partition("==")[0]

    def search(name: str) -> Path:
        owner, _, inner = name.partition("::")
        path = root / inner
        if owner != package or ".." in PurePosixPath(inner).parts or not path.is_file():
            raise ConfigError(f"the base `{name}` is not in `{entry.config_source}`", code="config-base")
        return path

    return search


def _config_name(entry: ModelEntry) -> str:
    return PurePosixPath(entry.config or entry.config_file or entry.name).stem


def _require_weights(entry: ModelEntry) -> WeightsSource:
    weights = entry.weights
    if weights is None or not (weights.url or (weights.file and entry.address)):
        raise MimctlError(
            f"model `{entry.name}` has no published weights of its own",
            code="no-weights",
            hints=["train it from its config, or choose another model of the zoo"],
        )
    return weights


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


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
