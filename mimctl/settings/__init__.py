"""The settings of mimctl itself: flag > environment > project > user > default, each value with its origin."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimctl.consent import Request, not_accepted, refusal
from mimctl.errors import ConfigError, Origin, UsageError, did_you_mean, nearest
from mimctl.settings.clusters import CLUSTER_KEYS, ClusterDefaults, flat
from mimctl.settings.files import line_of, project_file, read_file, user_file
from mimctl.settings.keys import KEYS, key_of, read_value

ColorChoice = Literal["auto", "always", "never"]
InstallerChoice = Literal["auto", "pip", "uv"]
IndexStrategy = Literal["first", "best"]

TORCH_INDEX = "https://download.pytorch.org/whl"
"""The wheel index of PyTorch; `<torch_index>/<tag>` (cpu, cu130, …) holds one build."""
PACKAGE_INDEX = "https://pypi.org/simple"
"""Where pip looks when it is configured with no index."""
HUB = "https://huggingface.co"
"""The Hugging Face Hub, which `hf://` addresses mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one invocation; `origins` says for each name where its value comes from."""

    index: tuple[str, ...] = ()
    torch_index: str = TORCH_INDEX
    mirrors: Mapping[str, str] = field(default_factory=dict)
    cache_dir: Path
    shared_cache: Path | None = None
    home: Path
    offline: bool = False
    python: Path | None = None
    color: ColorChoice = "auto"
    installer: InstallerChoice = "auto"
    index_strategy: IndexStrategy = "first"
    compile_bytecode: bool = False
    clusters: Mapping[str, ClusterDefaults] = field(default_factory=dict)
    http_timeout_s: float = 30.0
    http_retries: int = 3
    http_connections: int = 4
    origins: Mapping[str, Origin] = field(default_factory=dict)
    not_accepted: tuple[Request, ...] = ()
    """What a project's file sets and the user has not accepted (`mimctl.consent`)."""

    def origin(self, name: str) -> Origin:
        """Return where the value of `name` comes from; the place `default` where nobody set it."""
        return self.origins.get(name, Origin(file="default"))


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    reads_files: bool = True,
    uses: Collection[str] | None = None,
) -> Settings:
    """Collect the settings of one invocation.

    `flags` are values given on the command line (None = not given); `folder` is where the search for a project's
    `mimctl.toml` or `[tool.mimctl]` starts; without `reads_files` no file is looked at. `uses` names the settings that
    the caller will use (None: all). Raises ConfigError[settings] for an unknown key or a value of the wrong kind,
    naming file and line, ConfigError[untrusted-settings] where a project's file sets one of `uses` that the user has
    not accepted, UsageError where a flag or an environment variable is wrong.
    """
    environ = os.environ if environ is None else environ
    folder = folder or Path.cwd()
    home = Path(environ["MIMCTL_HOME"]).expanduser() if environ.get("MIMCTL_HOME") else default_home(environ)
    values: dict[str, Any] = {"home": home, "cache_dir": _default_cache(environ)}
    origins: dict[str, Origin] = {}
    project = project_file(folder) if reads_files else None
    for source in (user_file(home) if reads_files else None, project):
        if source is not None:
            _take_file(source, values, origins)
    _take_environment(environ, folder, values, origins)
    for name, value in (flags or {}).items():
        if value is not None and value != ():
            origin = Origin(file=f"--{name.replace('_', '-')}")
            values[name], origins[name] = read_value(name, value, folder, origin, UsageError), origin
    guarded = not_accepted(_guarded(project, values, origins), home)
    used = [each for each in guarded if uses is None or each.name in uses]
    if used:
        raise refusal(used)
    return Settings(**values, origins=origins, not_accepted=guarded)


def _guarded(project: Path | None, values: Mapping[str, Any], origins: Mapping[str, Origin]) -> tuple[Request, ...]:
    """Return what a project's file has the last word on and might do harm with."""
    found = {**values, **flat(values.get("clusters", {}))}
    return tuple(
        Request(name=name, value=found[name], origin=origin)
        for name, origin in origins.items()
        if project is not None and origin.file == str(project) and not key_of(name).is_harmless
    )


def _take_file(path: Path, values: dict[str, Any], origins: dict[str, Origin]) -> None:
    for name, value in read_file(path).items():
        origin = Origin(file=str(path), line=line_of(path, name))
        if name not in KEYS or name == "home":
            raise _unknown(name, name, set(KEYS), origin)
        taken = read_value(name, value, path.parent, origin, ConfigError)
        if name == "clusters":
            values[name] = _merged(values.get(name, {}), taken, path, origins)
        else:
            values[name], origins[name] = taken, origin


def _merged(
    known: Mapping[str, ClusterDefaults],
    tables: Mapping[str, Mapping[str, Any]],
    path: Path,
    origins: dict[str, Origin],
) -> dict[str, ClusterDefaults]:
    """Return the defaults of clusters with those of one more file; what it leaves out stays."""
    merged = dict(known)
    for cluster, table in tables.items():
        read = {}
        for key, value in table.items():
            name = f"clusters.{cluster}.{key}"
            origin = Origin(file=str(path), line=line_of(path, name))
            if key not in CLUSTER_KEYS:
                raise _unknown(name, key, set(CLUSTER_KEYS), origin)
            read[key], origins[name] = read_value(name, value, path.parent, origin, ConfigError), origin
        merged[cluster] = merged.get(cluster, ClusterDefaults())._replace(**read)
    return merged


def _unknown(name: str, word: str, words: set[str], origin: Origin) -> ConfigError:
    hints = did_you_mean(nearest(word, words)) or [f"the settings are {', '.join(sorted(words))}"]
    return ConfigError(f"unknown setting `{name}`", code="settings", origin=origin, hints=hints)


def _take_environment(
    environ: Mapping[str, str], folder: Path, values: dict[str, Any], origins: dict[str, Origin]
) -> None:
    for name, key in KEYS.items():
        if key.variable and environ.get(key.variable):
            origin = Origin(file=key.variable)
            values[name], origins[name] = read_value(name, environ[key.variable], folder, origin, UsageError), origin


def default_home(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's settings where MIMCTL_HOME does not name it."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else _user_home(environ) / ".config") / "mimctl"


def _default_cache(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else _user_home(environ) / ".cache") / "mimctl"


def _user_home(environ: Mapping[str, str]) -> Path:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:  # no HOME and no entry in the user database: containers with a bare user id
        import tempfile

        return Path(tempfile.gettempdir()) / f"mimctl-{os.getuid()}"
