"""Addresses: which are local, which may be followed, and how they are shown without their secrets."""

from __future__ import annotations

import ipaddress
import re
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mimctl.config.weight_names import FETCHED, is_whole_address
from mimctl.errors import MimctlError, UsageError

_REMOTE = ("http", "https")
_METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
        "rancher-metadata",
    }
)
# Instance metadata services outside the link-local ranges: Alibaba Cloud, Oracle Cloud, Azure's host, AWS and Google
# over IPv6.
_METADATA_ADDRESSES = frozenset(
    {"100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"}
)
_ODD = re.compile(r"[\\\s]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_remote(url: str) -> bool:
    """Return whether `url` is that of a server (http, https)."""
    return url.partition("://")[0].lower() in _REMOTE and "://" in url


def is_elsewhere(url: str) -> bool:
    """Return whether `url` needs the network: http, https, and what `download` knows besides (hf, s3, gs)."""
    return is_whole_address(url)


def local_path(url: str) -> Path:
    """Return the path that a `file://` address or a plain path names; raise UsageError[bad-url] for other schemes."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return Path(url)
    if scheme.lower() != "file":
        raise UsageError(
            f"cannot fetch `{redact(url)}`",
            code="bad-url",
            causes=[f"the scheme `{scheme}` is not one of file, {', '.join(sorted(FETCHED))}"],
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
    """Raise UsageError[bad-url] unless `url` is an http(s) address with a host that all readers see alike.

    A backslash, white space or a `%` in the host is read differently by different libraries, and never needed.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in _REMOTE and bool(parts.hostname) and (parts.port or 1) > 0
        host = parts.netloc.rpartition("@")[2]
        usable = usable and not _CONTROL.search(url) and not _ODD.search(parts.netloc)
        usable = usable and ("%" not in host or host.startswith("["))
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
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or _embedded(address)
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


def zone_limit(url: str, *, than: str) -> Zone:
    """Return how near the address may be that a connection to `url` ends at, once `check_not_nearer` let it pass.

    A name may lead elsewhere when it is asked for again; so the connection itself is held against what was checked.
    """
    return max(_nearest_zone(url), min(_farthest_zone(than), Zone.LOOPBACK))


def refuse_nearer(address: str, limit: Zone) -> None:
    """Raise MimctlError[unsafe-address] where a connection ended at a numeric address nearer than `limit`."""
    if zone_of(address) > limit:
        raise MimctlError(
            "refused a connection that a name led to",
            code="unsafe-address",
            causes=[f"the name led to {address} when it was connected to, and farther away when it was checked"],
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


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in the last 32 bits: NAT64 (RFC 6052, RFC 8215), the compatible form (RFC 4291)."""
    prefixes = ("64:ff9b::/96", "64:ff9b:1::/96", "::/96")
    is_inside = int(address) > 0xFFFF and any(address in ipaddress.ip_network(each) for each in prefixes)
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if is_inside else None


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)
