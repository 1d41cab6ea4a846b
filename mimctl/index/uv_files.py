"""Where uv looks for packages: its user and system configuration and `UV_*` variables, read as uv reads them.

A project's own `uv.toml` or `[tool.uv]` is left alone: whoever clones a repository has not asked for its indexes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.errors import Origin
from mimctl.index.configured import Configured, line_with, unreadable

# Variable → key and what separates its values, in uv's order: what comes first has priority.
_VARIABLES: tuple[tuple[str, str, str | None], ...] = (
    ("UV_INDEX", "extra-index-url", None),
    ("UV_EXTRA_INDEX_URL", "extra-index-url", None),
    ("UV_DEFAULT_INDEX", "index-url", ""),
    ("UV_INDEX_URL", "index-url", ""),
    ("UV_FIND_LINKS", "find-links", ","),
    ("UV_NO_INDEX", "no-index", ""),
    ("UV_OFFLINE", "offline", ""),
    ("UV_INSECURE_HOST", "trusted-host", None),
    ("UV_NATIVE_TLS", "native-tls", ""),
    ("UV_SYSTEM_CERTS", "native-tls", ""),
    ("SSL_CERT_FILE", "cert", ""),
    ("SSL_CLIENT_CERT", "client-cert", ""),
    ("UV_HTTP_TIMEOUT", "timeout", ""),
    ("UV_CONSTRAINT", "constraint", None),
)
_KEYS = {
    "no-index": "no-index",
    "offline": "offline",
    "native-tls": "native-tls",
    "system-certs": "native-tls",
    "allow-insecure-host": "trusted-host",
    "find-links": "find-links",
    "extra-index-url": "extra-index-url",
    "index-url": "index-url",
    "http-proxy": "http-proxy",
    "https-proxy": "https-proxy",
    "no-proxy": "no-proxy",
}
_FALSE = frozenset({"", "0", "f", "false", "n", "no", "off"})


def read_uv(environ: Mapping[str, str], *, system: str = sys.platform) -> list[Configured]:
    """Return what uv is configured with, what counts most first; a list gives one entry a value.

    Raises ConfigError[settings] for a file that is not TOML.
    """
    found = list(_from_environment(environ))
    for path in uv_files(environ, system=system):
        found.extend(_from_file(path, environ))
    return found


def uv_files(environ: Mapping[str, str], *, system: str = sys.platform) -> list[Path]:
    """Return the configuration files that uv would read wherever it is started, those that exist, the strongest
    first."""
    if environ.get("UV_CONFIG_FILE"):
        paths = [Path(environ["UV_CONFIG_FILE"])]
    elif environ.get("UV_NO_CONFIG", "").lower() not in _FALSE:
        paths = []
    elif system == "win32":
        folders = [environ.get("APPDATA"), environ.get("PROGRAMDATA")]
        paths = [Path(folder) / "uv/uv.toml" for folder in folders if folder]
    else:
        home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else None)
        shared = [each for each in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if each]
        system_wide = next((path for each in shared if (path := Path(each) / "uv/uv.toml").is_file()), None)
        paths = [*([Path(home) / "uv/uv.toml"] if home else []), system_wide or Path("/etc/uv/uv.toml")]
    return [path for path in paths if path.is_file()]


def _from_environment(environ: Mapping[str, str]) -> Iterator[Configured]:
    for name, key, separator in _VARIABLES:
        value = environ.get(name, "").strip()
        if not value:
            continue
        origin = Origin(file=name)
        for each in [value] if separator == "" else value.split(separator):
            if each.strip():
                address = _named(each.strip(), environ) if name in ("UV_INDEX", "UV_DEFAULT_INDEX") else each.strip()
                yield Configured(tool="uv", key=key, value=address, origin=origin)


def _from_file(path: Path, environ: Mapping[str, str]) -> Iterator[Configured]:
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError:
        return
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise unreadable(path, "uv", f"it is not TOML ({type(err).__name__})") from None
    pip = data.get("pip")
    # `[pip]` counts more than the same key above it.
    for table in (pip if isinstance(pip, dict) else {}, data):
        yield from _from_table(table, path, text, environ)


def _from_table(table: Mapping[str, Any], path: Path, text: str, environ: Mapping[str, str]) -> Iterator[Configured]:
    indexes = table.get("index")
    for entry in indexes if isinstance(indexes, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("url"), str) and not entry.get("explicit"):
            address = _with_login(_address(entry["url"], path), str(entry.get("name", "")), environ)
            key = "index-url" if entry.get("default") else "extra-index-url"
            if entry.get("format") == "flat":
                key = "find-links"
            yield Configured(tool="uv", key=key, value=address, origin=Origin(file=str(path), line=None))
    for name, key in _KEYS.items():
        values = table.get(name)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, bool):
                value = str(value).lower()
            if isinstance(value, str) and value:
                is_place = key in ("find-links", "index-url", "extra-index-url")
                yield Configured(
                    tool="uv",
                    key=key,
                    value=_address(value, path) if is_place else value,
                    origin=Origin(file=str(path), line=line_with(text, name)),
                )


def is_on(value: str) -> bool:
    """Return whether a value of pip's or uv's says yes."""
    return value.strip().lower() not in _FALSE


def _address(value: str, path: Path) -> str:
    """Return an address; a relative path counts from the folder of the file it stands in."""
    if "://" in value or value.startswith("~"):
        return value
    return os.path.normpath(path.parent / value)


def _named(value: str, environ: Mapping[str, str]) -> str:
    """Return the address in `name=address`, with the login that variables hold for that name."""
    name, separator, address = value.partition("=")
    if not separator or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        return value
    return _with_login(address, name, environ)


def _with_login(address: str, name: str, environ: Mapping[str, str]) -> str:
    """Return an address with user and password of `UV_INDEX_<NAME>_USERNAME` and `…_PASSWORD`, where it has none."""
    stem = "UV_INDEX_" + "".join(letter if letter.isalnum() else "_" for letter in name).upper()
    user, password = environ.get(f"{stem}_USERNAME", ""), environ.get(f"{stem}_PASSWORD", "")
    if not name or not (user or password) or "://" not in address:
        return address
    from urllib.parse import quote, urlsplit, urlunsplit

    parts = urlsplit(address)
    if "@" in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))
