"""Where pip looks for packages: its configuration files and `PIP_*` variables, read as pip reads them.

pip itself is not started: that takes half a second, and the target may have none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mimctl.errors import Origin
from mimctl.index.configured import Configured, line_with, unreadable

_MANY = frozenset({"extra-index-url", "find-links", "trusted-host", "constraint"})
_ONE = frozenset({"index-url", "no-index", "cert", "client-cert", "proxy", "timeout", "keyring-provider"})
_ALIASES = {"pypi-url": "index-url", "default-timeout": "timeout"}
_SECTIONS = ("global", "install")
"""The later one counts, whatever file it stands in."""


def read_pip(environ: Mapping[str, str], *, prefix: Path | None, system: str = sys.platform) -> list[Configured]:
    """Return what pip is configured with, of each key only the value that counts; a list gives one entry a value.

    `prefix` is that of the environment whose pip is meant (`sys.prefix`), which may hold a file of its own. Raises
    ConfigError[settings] for a file that is none.
    """
    best: dict[str, tuple[str, Origin]] = {}
    for section in _SECTIONS:
        for path in _files(environ, prefix, system):
            for key, value, origin in _section(path, section):
                best[key] = (value, origin)
    for name, value in sorted(environ.items()):
        known = _known(name.removeprefix("PIP_")) if name.startswith("PIP_") else None
        if known is not None and value:
            best[known] = (value, Origin(file=name))
    return [
        Configured(tool="pip", key=key, value=each, origin=origin)
        for key, (value, origin) in best.items()
        for each in (value.split() if key in _MANY else [value.strip()])
    ]


def pip_files(environ: Mapping[str, str], *, prefix: Path | None, system: str = sys.platform) -> list[Path]:
    """Return the configuration files that pip would read, those that exist, the weakest first."""
    return [path for path in _files(environ, prefix, system) if path.is_file()]


def _files(environ: Mapping[str, str], prefix: Path | None, system: str) -> list[Path]:
    """Return where pip's files may be (pip's documentation, "Configuration"): global, user, environment, named."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    basename = "pip.ini" if system == "win32" else "pip.conf"
    found = [folder / basename for folder in _global_folders(environ, system)]
    if not (named and Path(named).exists()):
        found += [folder / basename for folder in _user_folders(environ, system)]
    found += [prefix / basename] if prefix is not None else []
    return found + ([Path(named)] if named else [])


def _global_folders(environ: Mapping[str, str], system: str) -> list[Path]:
    if system == "win32":
        return [Path(environ.get("PROGRAMDATA") or "C:/ProgramData") / "pip"]
    if system == "darwin":
        return [Path("/Library/Application Support/pip")]
    folders = [each for each in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if each]
    return [*(Path(each) / "pip" for each in folders), Path("/etc")]


def _user_folders(environ: Mapping[str, str], system: str) -> list[Path]:
    """Return the folders of the user's files, the old place first."""
    home = _home(environ, system)
    if home is None:
        return []
    if system == "win32":
        return [home / "pip", Path(environ.get("APPDATA") or home / "AppData/Roaming") / "pip"]
    if system == "darwin":
        new = home / "Library/Application Support/pip"
        return [home / ".pip", new if new.is_dir() else home / ".config/pip"]
    config = environ.get("XDG_CONFIG_HOME")
    return [home / ".pip", (Path(config) if config else home / ".config") / "pip"]


def _home(environ: Mapping[str, str], system: str) -> Path | None:
    named = environ.get("USERPROFILE" if system == "win32" else "HOME")
    if named:
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return None


def _section(path: Path, section: str) -> Iterator[tuple[str, str, Origin]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return  # absent, or not for us to read
    except UnicodeDecodeError as err:
        raise unreadable(path, "pip", "it is not UTF-8 text") from err
    import configparser

    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment]
    try:
        parser.read_string(text)
    except configparser.Error as err:
        # The whole text of this error repeats the line, which may hold a password.
        raise unreadable(path, "pip", f"it is no INI file ({type(err).__name__})") from None
    if not parser.has_section(section):
        return
    for name, value in parser.items(section):
        key = _known(name)
        if key is not None and value:
            line = line_with(text, name.lower().replace("_", "-"))
            yield key, value, Origin(file=str(path), line=line)


def _known(name: str) -> str | None:
    key = name.lower().replace("_", "-").removeprefix("--")
    key = _ALIASES.get(key, key)
    return key if key in _MANY or key in _ONE else None
