"""Where packages that are not ours come from: what pip and uv are configured with, and what the command line adds."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mimctl.errors import Origin
from mimctl.index.configured import Configured
from mimctl.index.pip_files import read_pip
from mimctl.index.uv_files import is_on, read_uv
from mimctl.settings import PACKAGE_INDEX
from mimctl.transfer import TransferSettings, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSources:
    """Places in order of priority, and how they are reached. Addresses may hold passwords: redact what is shown."""

    index_url: str | None = field(default=None, repr=False)
    """None where no index is looked at (`--no-index`)."""
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    """Folders, wheels and pages of links."""
    no_index: bool = False
    cert: Path | None = None
    client_cert: Path | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = field(default=None, repr=False)
    http_proxy: str | None = field(default=None, repr=False)
    https_proxy: str | None = field(default=None, repr=False)
    no_proxy: tuple[str, ...] = ()
    timeout_s: float | None = None
    offline: bool = False
    uses_keyring: bool = True
    constraints: tuple[str, ...] = ()
    """Files of constraints that hold for every installation."""
    configured: tuple[Configured, ...] = ()
    """Every value that pip's, uv's configuration and the command line gave, with its origin."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """Return the indexes in order: extra ones first, so that what a private one has is never taken from the
        public one behind it."""
        last = (self.index_url,) if self.index_url else ()
        return tuple(dict.fromkeys((*self.extra_index_urls, *last)))


def read_sources(
    environ: Mapping[str, str],
    *,
    python_prefix: Path | None = None,
    index_url: str | None = None,
    extra_index_urls: Sequence[str] = (),
    find_links: Sequence[str] = (),
    no_index: bool = False,
    system: str = sys.platform,
) -> PackageSources:
    """Return where packages come from; `python_prefix` is that of the environment they are for.

    The command line (`index_url`, …) counts more than pip's configuration (the variables `PIP_*`, then its files), and
    that more than uv's. Of what there may be several of, all are used in this order; options add to what is
    configured, as pip has it. Raises ConfigError[settings] for a file that cannot be read.
    """
    flags = _flags(index_url, extra_index_urls, find_links, no_index)
    configured = (*flags, *read_pip(environ, prefix=python_prefix, system=system), *read_uv(environ, system=system))
    is_without_index = any(is_on(value) for value in _values(configured, "no-index"))
    main = next(iter(_values(configured, "index-url")), PACKAGE_INDEX)
    return PackageSources(
        index_url=None if is_without_index else _bare(main),
        extra_index_urls=() if is_without_index else tuple(map(_bare, _values(configured, "extra-index-url"))),
        find_links=_values(configured, "find-links"),
        no_index=is_without_index,
        cert=_cert(configured, environ),
        client_cert=_first_path(_values(configured, "client-cert")),
        trusted_hosts=_values(configured, "trusted-host"),
        proxy=next(iter(_values(configured, "proxy")), None),
        http_proxy=next(iter(_values(configured, "http-proxy")), None),
        https_proxy=next(iter(_values(configured, "https-proxy")), None),
        no_proxy=_values(configured, "no-proxy"),
        timeout_s=_seconds(_values(configured, "timeout")),
        offline=any(is_on(value) for value in _values(configured, "offline")),
        uses_keyring="disabled" not in _values(configured, "keyring-provider"),
        constraints=_values(configured, "constraint"),
        configured=configured,
    )


def transfer_settings(
    settings: TransferSettings, sources: PackageSources, *, keeps_timeout: bool = False
) -> TransferSettings:
    """Return settings that reach what pip's and uv's configuration reaches: certificates, proxy, logins, patience.

    What `settings` has already stays; `keeps_timeout`: its timeout too, because a person chose it.
    """
    timeout_s = settings.timeout_s
    if sources.timeout_s is not None and not keeps_timeout:
        timeout_s = max(timeout_s, sources.timeout_s)
    return replace(
        settings,
        offline=settings.offline or sources.offline,
        timeout_s=timeout_s,
        way=settings.way.joined(way_of(sources)),
        configured_way=None,
        logins=settings.logins.joined((*sources.indexes, *sources.find_links), uses_keyring=sources.uses_keyring),
    )


def way_of(sources: PackageSources) -> Way:
    """Return which way pip and uv reach their places."""
    return Way(
        proxy=sources.proxy,
        http_proxy=sources.http_proxy,
        https_proxy=sources.https_proxy,
        no_proxy=sources.no_proxy,
        cert=sources.cert,
        client_cert=sources.client_cert,
        trusted_hosts=sources.trusted_hosts,
    )


def _flags(
    index_url: str | None, extra_index_urls: Iterable[str], find_links: Iterable[str], no_index: bool
) -> list[Configured]:
    given = [("index-url", index_url)] if index_url else []
    given += [("extra-index-url", each) for each in extra_index_urls]
    given += [("find-links", each) for each in find_links]
    given += [("no-index", "true")] if no_index else []
    return [
        Configured(tool="mimctl", key=key, value=str(value), origin=Origin(file=f"--{key}")) for key, value in given
    ]


def _values(configured: Iterable[Configured], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.value for each in configured if each.key == key))


def _bare(address: str) -> str:
    return address.rstrip("/") or "/"


def _cert(configured: Sequence[Configured], environ: Mapping[str, str]) -> Path | None:
    """Return the authorities to trust. pip's own `cert` comes before what requests reads by itself, uv's after it."""
    pips = [each.value for each in configured if each.key == "cert" and each.tool != "uv"]
    if pips:
        return Path(pips[0]).expanduser()
    if environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE"):
        return None
    uvs = _values(configured, "cert")
    if uvs:
        return Path(uvs[0])
    if any(is_on(value) for value in _values(configured, "native-tls")):
        import ssl

        return _first_path([each for each in (ssl.get_default_verify_paths().cafile,) if each])
    return None


def _first_path(values: Sequence[str]) -> Path | None:
    return Path(values[0]).expanduser() if values else None


def _seconds(values: Sequence[str]) -> float | None:
    try:
        return max(0.1, float(values[0])) if values else None
    except ValueError:
        return None
