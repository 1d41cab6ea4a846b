"""The session of requests that a line speaks through: proxies, certificates, sockets that are told of."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from mimctl.transfer.login import Login
from mimctl.transfer.model import Way

if TYPE_CHECKING:
    import requests

Keep: TypeAlias = Callable[[socket.socket, bool], None]
"""Called with each socket that is opened, and whether a proxy is at its other end."""


def verify_by(url: str, way: Way) -> bool | str | None:
    """Return what certificates are checked by, as requests has it; False for a host that is trusted without."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    names = {host, f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"}
    if names & {each.lower() for each in way.trusted_hosts}:
        return False
    return str(way.cert) if way.cert is not None else None


def proxy_for(url: str, way: Way) -> str | None:
    """Return the proxy that is configured for an address; None leaves that to the environment."""
    own = way.https_proxy if url.lower().startswith("https:") else way.http_proxy
    if way.proxy or not own or not way.no_proxy:
        return way.proxy or own
    from requests.utils import should_bypass_proxies

    return None if should_bypass_proxies(url, ",".join(way.no_proxy)) else own


def proxies_of(address: str) -> dict[str, str]:
    """Return the proxy for every scheme; raise requests' InvalidProxyURL where its host or port is none."""
    from requests.exceptions import InvalidProxyURL

    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        is_usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InvalidProxyURL
    return {"http": address, "https": address}


class Auth:
    """Put a login, or none, on a request; given always, so that requests does not look for one by itself."""

    def __init__(self, login: Login | None) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._login is not None:
            request.headers["Authorization"] = self._login.header
        return request


def new_session(keep: Keep) -> requests.Session:
    """Return a session whose connections hand each socket that they open to `keep`."""
    import requests
    from requests.adapters import HTTPAdapter

    from mimctl import __version__

    classes = _pool_classes(keep)

    class Adapter(HTTPAdapter):
        """An adapter whose connections tell of their sockets."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = classes

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not proxy.lower().startswith("socks"):  # whose connections are of another kind
                manager.pool_classes_by_scheme = classes
            return manager

    opened = requests.Session()
    opened.headers["User-Agent"] = f"mimctl/{__version__}"
    for scheme in ("http://", "https://"):
        opened.mount(scheme, Adapter(max_retries=0))
    return opened


def say_nothing_of_certificates() -> None:
    """Keep urllib3 from warning at each request to a host that a person trusts without a certificate."""
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _pool_classes(keep: Keep) -> dict[str, Any]:
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def watched(pool: Any) -> Any:
        class Connection(pool.ConnectionCls):  # type: ignore[misc]
            def _new_conn(self) -> socket.socket:
                opened: socket.socket = super()._new_conn()
                keep(opened, getattr(self, "proxy", None) is not None)
                return opened

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

    return {"http": watched(HTTPConnectionPool), "https": watched(HTTPSConnectionPool)}
