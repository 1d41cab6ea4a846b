"""Addresses: which are local, which may be followed, and how they are shown without their secrets."""

from __future__ import annotations

import ipaddress
import socket
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


def check_public(url: str) -> None:
    """Raise MimctlError[unsafe-address] where an address that no person typed points to this machine's metadata.

    Link-local ranges (RFC 3927, RFC 4291) and the metadata services of clouds; names are resolved first, so that
    other spellings of the same number are seen too. A name that does not resolve here is left to the request.
    """
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in _METADATA_NAMES or any(_is_metadata(address) for address in _addresses(host)):
        raise MimctlError(
            f"refused to fetch `{redact(url)}`",
            code="unsafe-address",
            causes=["link-local and metadata addresses are fetched only where you typed them yourself"],
            hints=["check the config or the server that named this address"],
        )


def _addresses(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]) for entry in found]


def _is_metadata(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or str(address) in _METADATA_ADDRESSES


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)
