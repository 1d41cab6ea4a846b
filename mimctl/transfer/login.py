"""Who we are where a server asks: from the address, from netrc, from the `keyring` command; kept in memory alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit, urlunsplit

_KEYRING_S = 60.0
"""Seconds after which a `keyring` that waits for something is left alone."""

Place: TypeAlias = tuple[str, str, int | None]
"""Scheme, host and port: what a login is good for."""


@dataclass(frozen=True, slots=True)
class Login:
    """User and password, or a token; nothing of it is ever shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    is_token: bool = False
    """Whether `password` is a bearer's token (RFC 6750), which has no user."""

    @property
    def header(self) -> str:
        """Return the value of `Authorization` (RFC 7617, RFC 6750)."""
        if self.is_token:
            return f"Bearer {self.password}"
        from base64 import b64encode

        return f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode('ascii')}"


class Logins:
    """The logins of one command, by scheme, host and port.

    `addresses` are those that a person gave: a user and a password in one hold for all that lies on its server.
    Without `uses_keyring` the `keyring` command is never run.
    """

    def __init__(self, addresses: Iterable[str] = (), *, uses_keyring: bool = True) -> None:
        self._lock = threading.Lock()
        self._given: list[str] = []
        self._addresses: list[str] = []
        self._known: dict[Place, Login] = {}
        self._asked: dict[tuple[Place, str], Login | None] = {}
        self._uses_keyring = uses_keyring
        for address in addresses:
            self.learn(address)

    def joined(self, addresses: Iterable[str], *, uses_keyring: bool = True) -> Logins:
        """Return logins that know these addresses too; the keyring is asked only if neither forbids it."""
        with self._lock:
            found = Logins(self._given, uses_keyring=self._uses_keyring and uses_keyring)
        for address in addresses:
            found.learn(address)
        return found

    def learn(self, address: str) -> None:
        """Remember an address that a person gave, with the login in it."""
        found, bare = login_in(address), without_login(address)
        with self._lock:
            self._given.append(address)
            if bare not in self._addresses:
                self._addresses.append(bare)
            if found is not None and found.password:
                self._known.setdefault(place_of(address), found)

    def before(self, url: str, *, is_redirected: bool) -> Login | None:
        """Return what to send unasked: the login in the address, one known for its place, the Hub's token, netrc's.

        Where a redirect leads, only a login that is known for that very place, and netrc's over https where it names
        the host.
        """
        if not is_redirected:
            found = login_in(url)
            if found is not None and found.password:
                return found
        with self._lock:
            known = self._known.get(place_of(url))
        known = known or _from_hub(url)
        if known is not None:
            return known
        if is_redirected and urlsplit(url).scheme.lower() != "https":
            return None
        return _from_netrc(url, allows_default=not is_redirected)

    def after_refusal(self, url: str) -> Login | None:
        """Return what the `keyring` command knows, for a server that answered 401; ask it once for each place.

        As pip asks: for the address that a person gave, then for the host; with the user in the address, else for a
        user as well (keyring 25.2 and newer).
        """
        if not self._uses_keyring:
            return None
        place, given = place_of(url), login_in(url)
        user = given.user if given is not None else self._user_of(place)
        with self._lock:
            if (place, user) not in self._asked:
                self._asked[place, user] = _from_keyring(self._services(url, place), user)
            found = self._asked[place, user]
            if found is not None:
                self._known[place] = found
            return found

    def _user_of(self, place: Place) -> str:
        with self._lock:
            known = self._known.get(place)
        return known.user if known is not None else ""

    def _services(self, url: str, place: Place) -> list[str]:
        bare = without_login(url)
        named = [each for each in self._addresses if place_of(each) == place and bare.startswith(each)]
        return list(dict.fromkeys([*sorted(named, key=len, reverse=True), urlsplit(bare).netloc]))


def place_of(url: str) -> Place:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:
        port = None
    return scheme, (parts.hostname or "").lower(), port or {"http": 80, "https": 443}.get(scheme)


def login_in(url: str) -> Login | None:
    """Return user and password (perhaps empty) of an address, None where it has neither."""
    userinfo, separator, _ = urlsplit(url).netloc.rpartition("@")
    if not separator:
        return None
    user, _, password = userinfo.partition(":")
    return Login(unquote(user), unquote(password))


def without_login(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _from_hub(url: str) -> Login | None:
    """Return the token of the Hugging Face Hub, for the place of the Hub alone."""
    from mimctl.transfer.hub import endpoint, token

    try:
        is_there = place_of(url) == place_of(endpoint())
    except ValueError:  # what `HF_ENDPOINT` says is no address
        is_there = False
    found = token() if is_there else None
    return None if found is None else Login("", found, is_token=True)


def _from_netrc(url: str, *, allows_default: bool) -> Login | None:
    host = urlsplit(url).hostname
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for place in places:
        path = Path(os.path.expanduser(place))  # noqa: PTH111 - a user without a home is no error here
        if host is None or not path.is_file():
            continue
        import netrc

        try:
            entries = netrc.netrc(path)
        except (netrc.NetrcParseError, OSError, UnicodeError):
            return None
        entry = entries.hosts.get(host) or (entries.hosts.get("default") if allows_default else None)
        return Login(entry[0] or entry[1] or "", entry[2] or "") if entry is not None else None
    return None


def _from_keyring(services: Iterable[str], user: str) -> Login | None:
    import shutil

    command = shutil.which("keyring")
    if command is None:
        return None
    for service in services:
        if user:
            lines = _run([command, "get", service, user])
            if lines:
                return Login(user, lines[0])
        else:
            lines = _run([command, "--mode", "creds", "get", service])
            if len(lines) == 2:
                return Login(lines[0], lines[1])
    return None


def _run(argv: list[str]) -> list[str]:
    """Return the lines that a `keyring` printed; none where it failed. What it says besides may hold anything."""
    import subprocess

    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            timeout=_KEYRING_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        return []
    return done.stdout.decode("utf-8", "replace").splitlines()
