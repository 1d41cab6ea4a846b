"""What servers of the tests share: ports of the loopback, threads that end with the test, and silence."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Answers in HTTP/1.1 and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class QuietServer(ThreadingHTTPServer):
    """Serves from when it is made until it is closed."""

    daemon_threads = True
    request_queue_size = 128  # of five at a time further ones wait a second

    def __init__(self, handler: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up when they have seen enough."""

    def close(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()


class Served:
    """A server for the length of a `with` block; a subclass says how it answers."""

    address: str = ""

    def __enter__(self) -> Any:
        self._http = QuietServer(self._handler())
        self.address = self._http.address
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        raise NotImplementedError


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on now, of those that no system gives away by itself meanwhile."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < number:
            each = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                each.bind(("", random.SystemRandom().randrange(10_000, 20_000)))
                found.append(each.getsockname()[1])
    return found
