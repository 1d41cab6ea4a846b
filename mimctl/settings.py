"""The settings of mimctl itself: flag > environment > project > user > default, each value with its origin."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimctl.consent import Request, not_accepted, refusal
from mimctl.errors import ConfigError, Origin, UsageError, nearest

ColorChoice = Literal["auto", "always", "never"]
InstallerChoice = Literal["auto", "pip", "uv"]
IndexStrategy = Literal["first", "best"]

TORCH_INDEX = "https://download.pytorch.org/whl"
"""The wheel index of PyTorch; `<torch_index>/<tag>` (cpu, cu130, …) holds one build."""
PACKAGE_INDEX = "https://pypi.org/simple"
"""Where pip looks when it is configured with no index."""


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
    http_timeout_s: float = 30.0
    http_retries: int = 3
    origins: Mapping[str, Origin] = field(default_factory=dict)
    not_accepted: tuple[Request, ...] = ()
    """What a project's file sets and the user has not accepted (`mimctl.consent`)."""

    def origin(self, name: str) -> Origin:
        """Return where the value of `name` comes from; the place `default` where nobody set it."""
        return self.origins.get(name, Origin(file="default"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting: how its value is read, its environment variable, one line on what it is for."""

    read: Callable[[Any, Path], Any]
    meaning: str
    variable: str | None = None
    many: bool = False
    is_harmless: bool = False
    """A project's file may set it without asking: it names no place that anything comes from or goes to."""


def _text(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("wants a text")
    return value


def _path(value: Any, folder: Path) -> Path:
    return folder / Path(_text(value, folder)).expanduser()


def _interpreter(value: Any, folder: Path) -> Path:
    """Return the path of an interpreter or an environment; a bare name that lies not here is one on PATH."""
    path = _path(value, folder)
    text = _text(value, folder)
    return path if Path(text).name != text or text in (".", "..") or path.exists() else Path(text)


def _flag(value: Any, _folder: Path) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("wants true or false")


def _addresses(value: Any, folder: Path) -> tuple[str, ...]:
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(each, str) and each for each in words):
        raise ValueError("wants an address or a list of addresses")
    return tuple(each if "://" in each else str(folder / Path(each).expanduser()) for each in words)


def _mapping(value: Any, _folder: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise ValueError("wants a table of host = replacement")
    return dict(value)


def _number(kind: type[int] | type[float], least: float) -> Callable[[Any, Path], float]:
    def read(value: Any, _folder: Path) -> float:
        if isinstance(value, bool):
            raise ValueError("wants a number")
        number = kind(value)
        if number < least:
            raise ValueError(f"wants a number >= {least}")
        return number

    return read


def _choice(*words: str) -> Callable[[Any, Path], str]:
    def read(value: Any, _folder: Path) -> str:
        if value not in words:
            raise ValueError(f"wants one of {', '.join(words)}")
        return str(value)

    return read


KEYS: Mapping[str, Key] = {
    "index": Key(
        read=_addresses,
        variable="MIMCTL_INDEX_URL",
        meaning="addresses of mimctl indexes (URL, file:// or folder); several are separated by blanks",
        many=True,
    ),
    "torch_index": Key(
        read=_text,
        variable="MIMCTL_TORCH_INDEX",
        meaning="where torch comes from when pip's own configuration does not offer the wanted build",
    ),
    "mirrors": Key(read=_mapping, meaning="host → address that stands for it when models are downloaded"),
    "cache_dir": Key(read=_path, variable="MIMCTL_CACHE_DIR", meaning="where downloads and index pages are kept"),
    "shared_cache": Key(
        read=_path,
        variable="MIMCTL_SHARED_CACHE",
        meaning="a folder in which several users keep downloads; each file is hashed and copied before it is used",
    ),
    "home": Key(read=_path, variable="MIMCTL_HOME", meaning="the folder of the user's config.toml"),
    "offline": Key(
        read=_flag, variable="MIMCTL_OFFLINE", meaning="use caches only, never the network", is_harmless=True
    ),
    "python": Key(
        read=_interpreter, variable="MIMCTL_PYTHON", meaning="the interpreter to install into and to run with"
    ),
    "color": Key(read=_choice("auto", "always", "never"), meaning="colour: auto, always or never", is_harmless=True),
    "installer": Key(read=_choice("auto", "pip", "uv"), meaning="which installer makes the changes", is_harmless=True),
    "index_strategy": Key(
        read=_choice("first", "best"),
        variable="MIMCTL_INDEX_STRATEGY",
        meaning="`first`: a project comes from the first of pip's and uv's indexes that has it; `best`: from all",
    ),
    "compile_bytecode": Key(
        read=_flag,
        variable="MIMCTL_COMPILE_BYTECODE",
        meaning="compile modules while they are installed, for environments that their users cannot write to",
        is_harmless=True,
    ),
    "http_timeout_s": Key(
        read=_number(float, 0.1), meaning="seconds without a byte before a transfer is retried", is_harmless=True
    ),
    "http_retries": Key(read=_number(int, 0), meaning="how often a failed transfer is tried again", is_harmless=True),
}


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
            values[name], origins[name] = _read(name, value, folder, origin, UsageError), origin
    guarded = not_accepted(_guarded(project, values, origins), home)
    used = [each for each in guarded if uses is None or each.name in uses]
    if used:
        raise refusal(used)
    return Settings(**values, origins=origins, not_accepted=guarded)


def _guarded(project: Path | None, values: Mapping[str, Any], origins: Mapping[str, Origin]) -> tuple[Request, ...]:
    """Return what a project's file has the last word on and might do harm with."""
    return tuple(
        Request(name=name, value=values[name], origin=origin)
        for name, origin in origins.items()
        if project is not None and origin.file == str(project) and not KEYS[name].is_harmless
    )


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


def user_file(home: Path) -> Path | None:
    """Return the user's settings file where it exists."""
    path = home / "config.toml"
    return path if path.is_file() else None


def project_file(folder: Path) -> Path | None:
    """Return the nearest `mimctl.toml`, or `pyproject.toml` with `[tool.mimctl]`, in `folder` or above it."""
    for each in (folder, *folder.parents):
        if (each / "mimctl.toml").is_file():
            return each / "mimctl.toml"
        pyproject = each / "pyproject.toml"
        if pyproject.is_file() and "[tool.mimctl" in pyproject.read_text(encoding="utf-8", errors="replace"):
            return pyproject
    return None


def read_file(path: Path) -> dict[str, Any]:
    """Return the raw settings that a file holds; raise ConfigError[settings] where it is no TOML."""
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"`{path}` is not valid TOML", code="settings", causes=[str(err)], origin=Origin(file=str(path))
        ) from err
    if path.name == "pyproject.toml":
        table = data.get("tool", {}).get("mimctl", {})
        return dict(table)
    return data


def _take_file(path: Path, values: dict[str, Any], origins: dict[str, Origin]) -> None:
    for name, value in read_file(path).items():
        origin = Origin(file=str(path), line=line_of(path, name))
        if name not in KEYS or name == "home":
            near = nearest(name, set(KEYS))
            raise ConfigError(
                f"unknown setting `{name}`",
                code="settings",
                origin=origin,
                hints=[f"did you mean `{near[0]}`?"] if near else [f"the settings are {', '.join(sorted(KEYS))}"],
            )
        values[name], origins[name] = _read(name, value, path.parent, origin, ConfigError), origin


def _take_environment(
    environ: Mapping[str, str], folder: Path, values: dict[str, Any], origins: dict[str, Origin]
) -> None:
    for name, key in KEYS.items():
        if key.variable and environ.get(key.variable):
            origin = Origin(file=key.variable)
            values[name], origins[name] = _read(name, environ[key.variable], folder, origin, UsageError), origin


def _read(name: str, value: Any, folder: Path, origin: Origin, kind: type[ConfigError] | type[UsageError]) -> Any:
    try:
        return KEYS[name].read(value, folder)
    except (ValueError, TypeError) as err:
        raise kind(f"setting `{name}` {err}, got {value!r}", code="settings", origin=origin) from err


def line_of(path: Path, name: str) -> int | None:
    """Return the 1-based line of a settings file on which `name` is set."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        head = line.strip().lstrip("[").replace("tool.mimctl.", "").lstrip("\"'")
        if head.startswith(name) and head[len(name) :].lstrip("\"' \t")[:1] in ("=", ".", "]"):
            return number
    return None


def known(name: str) -> str:
    """Return a setting's name; raise UsageError[settings] with the nearest where there is none such."""
    if name.partition(".")[0] in KEYS:
        return name
    near = nearest(name, set(KEYS))
    hint = f"did you mean `{near[0]}`?" if near else f"the settings are {', '.join(sorted(KEYS))}"
    raise UsageError(f"there is no setting `{name}`", code="settings", hints=[hint])


def set_value(name: str, values: Sequence[str], *, home: Path) -> Path:
    """Write one value into the user's config.toml (comments and other lines stay) and return the file.

    `mirrors.<host>` sets one mirror. Raises UsageError[settings] for an unknown name or a value of the wrong kind.
    """
    key = KEYS[known(name).partition(".")[0]]
    if name == "home":
        raise UsageError("the folder of the settings is set by `MIMCTL_HOME`", code="settings")
    if len(values) > 1 and not key.many:
        raise UsageError(f"`{name}` takes one value, got {len(values)}", code="settings")
    if name.startswith("mirrors.") or name == "mirrors":
        if not name.removeprefix("mirrors").strip("."):
            raise UsageError("name the host: `mimctl settings set mirrors.HOST ADDRESS`", code="settings")
        line = f'mirrors."{name.removeprefix("mirrors.")}" = {_toml(values[0])}'
    else:
        checked = _read(name, list(values) if key.many else values[0], Path.cwd(), Origin(file=name), UsageError)
        line = f"{name} = {_toml(checked)}"
    path = home / "config.toml"
    kept = _without(path, name)
    # Plain keys must stand above the first table.
    at = next((number for number, text in enumerate(kept) if text.lstrip().startswith("[")), len(kept))
    _write(path, [*kept[:at], line, *kept[at:]])
    return path


def unset_value(name: str, *, home: Path) -> tuple[Path, bool]:
    """Take one value out of the user's config.toml; return the file and whether it was there.

    Works on unknown names too: that is how a file that has one is mended.
    """
    path = home / "config.toml"
    if not path.is_file():
        return path, False
    before = path.read_text(encoding="utf-8").splitlines()
    kept = _without(path, name)
    if kept != before:
        _write(path, kept)
    return path, kept != before


def _without(path: Path, name: str) -> list[str]:
    """Return the lines of a settings file without those that set `name`, a list over several lines included."""
    if not path.is_file():
        return []
    kept, skipping, table = [], False, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if skipping:
            skipping = "]" not in line
            continue
        if line.lstrip().startswith("["):
            table = line.strip().strip("[]").strip() + "."
        head = (table + line.partition("=")[0].strip()).replace('"', "").replace("'", "")
        if "=" in line and (head == name or head.startswith(f"{name}.")):
            value = line.partition("=")[2].strip()
            skipping = value.startswith("[") and "]" not in value
            continue
        kept.append(line)
    return kept


def _write(path: Path, lines: list[str]) -> None:
    import tomllib

    text = "\n".join(lines) + "\n" if lines else ""
    tomllib.loads(text)  # never leave a file that mimctl cannot read
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    is_private = _SECRET.search(text) is not None
    mode = 0o600 if is_private else path.stat().st_mode & 0o777 if path.is_file() else 0o666
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


_SECRET = re.compile(r"://[^/\s\"']*@|://[^\s\"']*\?")
"""A user, password or token in an address: the file that holds one is the user's alone."""


def _toml(value: object) -> str:
    import json

    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string is a TOML basic string as well.
    return str(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)
