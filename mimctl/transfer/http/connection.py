"""Lines to servers: connections that can be cut off from another thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mimctl.errors import MimctlError
from mimctl.transfer.address import Zone, refuse_nearer
from mimctl.transfer.http.session import (
    Auth,
    new_session,
    proxies_of,
    proxy_for,
    say_nothing_of_certificates,
    verify_by,
)
from mimctl.transfer.login import Login
from mimctl.transfer.model import TransferSettings, Way

if TYPE_CHECKING:
    import requests

_HEAD_TIMES = 3.0
"""Connecting and an answer's head may take this many times the time without a byte: each byte begins that anew."""


class StoppedError(Exception):
    """The transfer was told to stop; what is there may be continued."""


class HeadTooSlowError(OSError):
    """A server took longer than some seconds to begin its answer, though it never fell silent."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Line:
    """What one thread uses to speak HTTP: a session, and a hold on the sockets that it opens.

    `hang_up` may be called from any thread and for good: what is being read ends at once, and nothing new begins.
    """

    def __init__(self, settings: TransferSettings) -> None:
        self.settings = settings
        self._cut = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._known_way: Way | None = None
        self._limit: Zone | None = None
        self._session: requests.Session | None = None  # made when it is needed: importing requests takes long

    def another(self) -> Line:
        """Return a further line that goes the same way."""
        found = Line(self.settings)
        found._known_way = self._known_way
        return found

    @property
    def is_cut(self) -> bool:
        """Return whether somebody hung up."""
        return self._cut.is_set()

    def ask(
        self, url: str, *, method: str, headers: dict[str, str], login: Login | None, limit: Zone | None = None
    ) -> requests.Response:
        """Send one request and return the answer, its body unread; redirects are not followed.

        `limit` is how near to this machine a new connection may end (None: anywhere), unless it goes by a proxy.
        """
        settings = self.settings
        self._limit = limit
        way = self._way()
        proxy = proxy_for(url, way)
        proxies = proxies_of(proxy) if proxy else None
        verify = verify_by(url, way)
        if verify is False:
            say_nothing_of_certificates()
        with self._ending_after(settings.timeout_s * _HEAD_TIMES):
            if self._session is None:
                self._session = new_session(self._keep)
            return self._session.request(
                method,
                url,
                headers=headers,
                auth=Auth(login),
                stream=True,
                timeout=settings.timeout_s,
                allow_redirects=False,
                proxies=proxies,
                verify=verify,
                cert=str(way.client_cert) if way.client_cert is not None else None,
            )

    def hang_up(self) -> None:
        """End all that goes on, and let nothing begin."""
        self._cut.set()
        self.shut()

    def shut(self) -> None:
        """End the connections that are open; the next request opens one anew."""
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._sockets.clear()

    def wait(self, seconds: float) -> None:
        """Wait, or no longer than until the line is cut."""
        if self._cut.wait(seconds):
            raise StoppedError

    def close(self) -> None:
        """Give everything back."""
        if self._session is not None:
            self._session.close()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def _way(self) -> Way:
        if self._known_way is None:
            settings = self.settings
            more = Way() if settings.configured_way is None else settings.configured_way()
            self._known_way = settings.way.joined(more)
        return self._known_way

    def _keep(self, opened: socket.socket, is_proxy: bool) -> None:
        if self._limit is not None and not is_proxy and opened.family in (socket.AF_INET, socket.AF_INET6):
            try:
                refuse_nearer(opened.getpeername()[0], self._limit)
            except MimctlError:
                opened.close()
                raise
        with self._lock:
            self._sockets.append(opened.dup())
        if self.is_cut:
            self.shut()

    @contextlib.contextmanager
    def _ending_after(self, seconds: float) -> Iterator[None]:
        """Cut the connection where a server keeps us for `seconds` with handshakes, interim answers or headers.

        Raises HeadTooSlowError then: a head that is cut off reads like a whole one.
        """
        is_over = threading.Event()

        def end() -> None:
            is_over.set()
            self.shut()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as problem:
            if is_over.is_set():
                raise HeadTooSlowError(seconds) from problem
            raise
        finally:
            timer.cancel()
        if is_over.is_set():
            raise HeadTooSlowError(seconds)


@contextlib.contextmanager
def line(settings: TransferSettings) -> Iterator[Line]:
    """Open a line for as long as it is needed."""
    opened = Line(settings)
    try:
        yield opened
    finally:
        opened.close()
