"""The user's own pip configuration, as pip tells it: for uv, which does not read it, and to see what offline leaves."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

_KEYS = frozenset({"index-url", "extra-index-url", "find-links", "no-index", "cert", "trusted-host", "proxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PipConfig:
    """Where pip looks for packages and how it gets there; None and empty where nothing is configured."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = None

    def local_only(self) -> PipConfig:
        """Return what of it works with no network: addresses of files."""
        indexes = [url for url in (self.index_url, *self.extra_index_urls) if url and is_local(url)]
        return replace(
            self,
            index_url=indexes[0] if indexes else None,
            extra_index_urls=tuple(indexes[1:]),
            find_links=tuple(link for link in self.find_links if is_local(link)),
            no_index=self.no_index or not indexes,
        )


def is_local(address: str) -> bool:
    """Return whether an address is a path or a `file://` one."""
    return "://" not in address or address.startswith("file://")


def read_pip_config(pip: Sequence[str], environ: Mapping[str, str]) -> PipConfig:
    """Ask pip (an argument vector such as `[python, "-m", "pip"]`) for its configuration; empty where it fails."""
    try:
        answer = subprocess.run(
            [*pip, "config", "list"], capture_output=True, text=True, timeout=60, check=False, env=dict(environ)
        )
    except (OSError, subprocess.TimeoutExpired):
        return PipConfig()
    return parse_pip_config(answer.stdout.splitlines()) if answer.returncode == 0 else PipConfig()


def parse_pip_config(lines: Iterable[str]) -> PipConfig:
    """Return the configuration that `pip config list` prints.

    Sections in pip's order of precedence: environment > `install` > `global`; values are Python literals.
    """
    ranks = {"global": 0, "install": 1, ":env:": 2}
    best: dict[str, tuple[int, str]] = {}
    for line in lines:
        name, separator, raw = line.partition("=")
        section, _, key = name.strip().partition(".")
        key = key.replace("_", "-")
        if not separator or section not in ranks or key not in _KEYS:
            continue
        try:
            value = str(ast.literal_eval(raw))
        except (ValueError, SyntaxError):
            continue
        if ranks[section] >= best.get(key, (-1, ""))[0]:
            best[key] = (ranks[section], value)
    values = {key: value for key, (_, value) in best.items()}
    return PipConfig(
        index_url=values.get("index-url") or None,
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        no_index=values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        cert=values.get("cert") or None,
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        proxy=values.get("proxy") or None,
    )
