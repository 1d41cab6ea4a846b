"""`download` in full: names become weights and a config that lie side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from mimctl import __version__
from mimctl.config import Config
from mimctl.errors import MimctlError, NetworkError
from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note, download, locked
from mimctl.zoo.config_file import Written, write_config, write_text
from mimctl.zoo.config_tree import Tree, stub_of, write_tree
from mimctl.zoo.downloaded import Downloaded, ModelsFailedError, Wanted
from mimctl.zoo.model import ModelEntry, WeightsSource
from mimctl.zoo.model_config import ConfigSource, ModelConfigs
from mimctl.zoo.names import resolve_name
from mimctl.zoo.reading import ZooSource, load_zoo
from mimctl.zoo.weights import CachedWeights, check_of, fetch_weights, find_kept, obtain

__all__ = [
    "Downloaded",
    "ModelsFailedError",
    "Wanted",
    "download_models",
    "fetch_weights",
]


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
    wanted: Wanted | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> list[Downloaded]:
    """Fetch the models called `names` of a toolbox and return where each lies, in the order of `names`.

    `dest` is a folder (None: the cache itself). `mirrors` maps a host to the address that stands for it (`ANY_HOST`
    for all) and comes before the setting of that name. For `configs_dir`, `configs` and `python` see ModelConfigs. All
    names are resolved before anything is fetched; then one that fails does not keep the others. An edited config is
    kept.
    Raises MimctlError: `unknown-model`, `model-ambiguous`, `no-zoo`, `no-weights`, `not-in-cache`; of a single name
    `model-config-missing`, NetworkError[package-index] and what `transfer.download` raises, of several
    ModelsFailedError.
    """
    wanted = wanted or Wanted()
    if wanted.from_cache and not settings.offline:
        raise ValueError("what comes from the cache alone comes offline")
    models = load_zoo(index, plugin).models
    entries = [resolve_name(models, name) for name in names]
    for entry in entries:
        _require_weights(entry)
    found = ModelConfigs(
        plugin=plugin, settings=settings, configs_dir=configs_dir, source=configs, python=python, note=note
    )
    job = _Job(found, settings, dest, mirrors or {}, wanted, progress, note)
    if wanted.from_cache:
        job.require_kept(entries)
    done: list[Downloaded] = []
    failures: dict[str, MimctlError] = {}
    for entry in entries:
        try:
            done.append(job.download(entry))
        except MimctlError as problem:
            if len(entries) == 1:
                raise
            failures[entry.name] = problem
            if note is not None:
                note(f"{entry.name}: {problem.message}")
    if failures:
        raise ModelsFailedError(done, failures)
    return done


class _Job:
    """The choices that all models of one request share."""

    def __init__(
        self,
        configs: ModelConfigs,
        settings: Settings,
        dest: Path | None,
        mirrors: Mapping[str, str],
        wanted: Wanted,
        progress: FileProgress | None,
        note: Note | None,
    ) -> None:
        self.configs = configs
        self.settings = settings
        self.dest = None if dest is None else Path(dest).expanduser().absolute()
        self.mirrors = mirrors
        self.wanted = wanted
        self.progress = progress
        self.note = note or (lambda _line: None)

    def require_kept(self, entries: Sequence[ModelEntry]) -> None:
        """Raise NetworkError[not-in-cache] with all that the cache lacks of these models."""
        lacking = [line for entry in entries for line in self._lacking(entry)]
        if lacking:
            raise NetworkError(
                "the cache does not hold all of this",
                code="not-in-cache",
                causes=lacking,
                hints=["run the same command once without `--from-cache`, where there is a network"],
            )

    def _lacking(self, entry: ModelEntry) -> list[str]:
        sources = [_require_weights(entry), *([entry.log] if self.wanted.log and entry.log is not None else [])]
        lacking = [
            f"{entry.name}: `{each.filename}`"
            for each in sources
            if find_kept(each, settings=self.settings, address=entry.address) is None
        ]
        try:
            self.configs.find(entry)
        except NetworkError:
            lacking.append(f"{entry.name}: its config, out of `{entry.config_source}`")
        return lacking

    def download(self, entry: ModelEntry) -> Downloaded:
        """Bring one model: weights into the cache, the config, then all to their place."""
        cached = self._obtain(entry, _require_weights(entry))
        config, source = self.configs.find(entry)
        checkpoint, is_placed = self._place(cached)
        log, is_logged = self._log(entry)
        path = checkpoint.parent / f"{_config_name(entry)}.py"
        with locked(path, self.note):
            state, tree = self._write(entry, path, config, source, checkpoint.name)
        for each in [*([path] if state == "kept" else []), *(tree.kept if tree is not None else ())]:
            self.note(f"kept `{each}`: it was edited, or another tool wrote it")
        is_written = state == "new" or (tree is not None and tree.is_new)
        return Downloaded(
            name=entry.name,
            config=path,
            checkpoint=checkpoint,
            sha256=cached.sha256,
            check=cached.check,
            config_source=source,
            config_state=state,
            needs_trust="custom_imports" in config,
            is_new=cached.is_new or is_placed or is_logged or is_written,
            log=log,
            bases=tree.files if tree is not None else (),
        )

    def _obtain(self, entry: ModelEntry, source: WeightsSource) -> CachedWeights:
        found = obtain(
            source,
            settings=self.settings,
            address=entry.address,
            mirrors=self.mirrors,
            progress=self.progress,
            note=self.note,
        )
        if found.is_new and found.check != "sha256":
            self.note(check_of(found.path.name, found.check))
        return found

    def _place(self, cached: CachedWeights) -> tuple[Path, bool]:
        """Return where a file of the cache lies for the user, and whether it was put there just now."""
        if self.dest is None:
            return cached.path, False
        path = self.dest / cached.path.name
        before = _stamp(path)
        download(str(cached.path), path, sha256=cached.sha256, note=self.note)
        return path, _stamp(path) != before

    def _log(self, entry: ModelEntry) -> tuple[Path | None, bool]:
        if not self.wanted.log:
            return None, False
        if entry.log is None:
            self.note(f"no log of `{entry.name}` was published")
            return None, False
        cached = self._obtain(entry, entry.log)
        path, is_placed = self._place(cached)
        return path, cached.is_new or is_placed

    def _write(
        self, entry: ModelEntry, path: Path, config: Config, source: str, weights: str
    ) -> tuple[Written, Tree | None]:
        """Write the config beside the weights: flattened, or with its bases below it where they are wanted."""
        by = f"mimctl {__version__}"
        tree = write_tree(config, path.parent, source=source, by=by) if self.wanted.bases else None
        if self.wanted.bases and tree is None:
            self.note(f"the config of `{entry.name}` is published in one file, without bases")
        stub = stub_of(tree.main, path.parent) if tree is not None else None
        if stub is None:
            title = f"{entry.name}: flattened from the configs of {source} by {by}"
            return write_config(path, config, title=title, weights=weights), tree
        title = f"{entry.name}: built on the configs of {source}, beside it by {by}"
        needs_trust = "custom_imports" in config
        return write_text(path, stub, title=title, weights=[weights], needs_trust=needs_trust), tree


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


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
