"""Addresses: which are local, which may be followed, and how they are shown without their secrets."""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mimctl.errors import MimctlError, UsageError

_REMOTE = ("http", "https")
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog"})
# Instance metadata services outside the link-local ranges (Alibaba Cloud, AWS over IPv6).
_METADATA_ADDRESSES = frozenset({"100.100.100.200", "fd00:ec2::254"})


def is_remote(url: str) -> bool:
    """Return whether `url` needs the network (http, https)."""
    return url.partition("://")[0].lower() in _REMOTE and "://" in url


def local_path(url: str) -> Path:
    """Return the path that a `file://` address or a plain path names; raise UsageError[bad-url] for other schemes."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return Path(url)
    if scheme.lower() != "file":
        raise UsageError(
            f"cannot fetch `{redact(url)}`",
            code="bad-url",
            causes=[f"the scheme `{scheme}` is not one of file, http, https"],
            hints=["give a path, or an address that begins with `https://`"],
        )
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"cannot fetch `{redact(url)}`",
            code="bad-url",
            causes=[f"a file address on another machine (`{parts.netloc}`)"],
            hints=["write three slashes: `file:///path/to/file`"],
        )
    return Path(unquote(parts.path))


def redact(url: str) -> str:
    """Return `url` fit for a message: no user, no password, no query values, no control characters."""
    if "://" not in url:
        return _printable(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return _printable(url.partition("://")[0]) + "://…"
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return _printable(urlunsplit((parts.scheme, netloc, parts.path, "…" if parts.query else "", "")))


def has_secret(url: str) -> bool:
    """Return whether `url` holds something that `redact` hides."""
    parts = urlsplit(url)
    return "@" in parts.netloc or bool(parts.query)


def check_remote(url: str) -> None:
    """Raise UsageError[bad-url] unless `url` is an http(s) address with a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in _REMOTE and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"`{redact(url)}` is not an address that can be fetched",
            code="bad-url",
            hints=["an address looks like `https://host/path/file`"],
        )


class Zone(IntEnum):
    """How near to this machine an address is. What a server names may not be nearer than the server itself."""

    PUBLIC = 0
    """Reachable by all, or not known."""
    PRIVATE = 1
    """A network of one's own (RFC 1918, RFC 4193, RFC 6598)."""
    LOOPBACK = 2
    """This machine."""
    METADATA = 3
    """Link-local (RFC 3927, RFC 4291) or a cloud's metadata service: never by a server's word."""


def zone_of(text: str) -> Zone:
    """Return the zone of a numeric address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or _nat64(address)
        if inner is not None:
            return zone_of(str(inner))
    if address.is_link_local or str(address) in _METADATA_ADDRESSES:
        return Zone.METADATA
    if address.is_loopback or address.is_unspecified:
        return Zone.LOOPBACK
    return Zone.PUBLIC if address.is_global else Zone.PRIVATE


def check_not_nearer(url: str, *, than: str) -> None:
    """Raise MimctlError[unsafe-address] where an address that no person typed is nearer to this machine than `than`,
    the address of what named it: metadata services always, this machine and private networks named from outside.

    Names are resolved first, so that other spellings of a number are seen too. A name that does not resolve here is
    left to the request; a path and a `file://` address are this machine.
    """
    if _host(url) == _host(than) and is_remote(than) and _host(url) not in _METADATA_NAMES:
        return
    target = _nearest_zone(url)
    if target == Zone.PUBLIC or (target != Zone.METADATA and target <= _farthest_zone(than)):
        return
    what = {
        Zone.METADATA: "link-local and metadata addresses are",
        Zone.LOOPBACK: "an address of this machine is",
        Zone.PRIVATE: "an address of a private network is",
    }[target]
    raise MimctlError(
        f"refused to fetch `{redact(url)}`",
        code="unsafe-address",
        causes=[f"{what} fetched only where you typed it yourself" + (f"; `{redact(than)}` led there" if than else "")],
        hints=["check the config or the server that named this address"],
    )


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".").lower()


def _nearest_zone(url: str) -> Zone:
    host = _host(url)
    if host in _METADATA_NAMES:
        return Zone.METADATA
    return max((zone_of(address) for address in _addresses(host)), default=Zone.PUBLIC)


def _farthest_zone(url: str) -> Zone:
    if not is_remote(url):
        return Zone.LOOPBACK
    return min((zone_of(address) for address in _addresses(_host(url))), default=Zone.PUBLIC)


@lru_cache(maxsize=256)
def _addresses(host: str) -> tuple[str, ...]:
    """Return the numbers behind a name; asked once, for where names are not resolved each question takes seconds."""
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    import socket

    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address behind the well-known prefix `64:ff9b::/96` (RFC 6052)."""
    is_behind = address in ipaddress.ip_network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if is_behind else None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)
