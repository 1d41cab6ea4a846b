"""A server on the loopback that speaks raw sockets, so that it can do what no HTTP library would."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import unquote

Answer = Callable[[socket.socket], None]
"""Writes what it likes to a connection whose request has been read."""

PATIENCE_S = 60.0
"""Nothing here goes on for longer, whatever the client does."""


class LyingServer:
    """Answers by path; what is not known is 404. `asked` holds each request's path, `heads` its whole head."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.routes: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self._listening = socket.create_server((host, 0))
        self._is_open = True
        self.host, self.port = self._listening.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Return the root address."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Accept nobody any more."""
        self._is_open = False
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE_S)
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                head += chunk
            path = head.split(b" ", 2)[1].decode("latin-1")
            self.asked.append(path)
            self.heads.append(head.decode("latin-1"))
            answer = self.routes.get(path) or self.routes.get(unquote(path)) or self.routes.get("*")
            (answer or plain(404, b"no such page"))(connection)


def plain(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer honestly; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())

    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {status} Said\r\nConnection: close\r\n{lines}\r\n".encode() + body)

    return answer


def redirect(where: str) -> Answer:
    """Answer that it is elsewhere."""
    return plain(302, Location=where)


def says_length(length: object, body: bytes) -> Answer:
    """Promise one length and send another."""
    return plain(200, body, Content_Length=str(length))


def hangs_up(connection: socket.socket) -> None:
    """Say nothing at all."""


def drips(connection: socket.socket) -> None:
    """Send a body of one byte a second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    _endless(connection, b"x", 0.2)


def drips_headers(connection: socket.socket) -> None:
    """Send the head of the answer byte by byte, without ever stalling."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _endless(connection, b"x", 0.05)


def endless_headers(connection: socket.socket) -> None:
    """Send header after header."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    _endless(connection, b"X-More: and more\r\n" * 100, 0)


def endless_header(connection: socket.socket) -> None:
    """Send one header of gigabytes."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Large: ")
    _endless(connection, b"x" * 65536, 0)


def endless_interim(connection: socket.socket) -> None:
    """Say `100 Continue` without end."""
    _endless(connection, b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)


def endless_body(connection: socket.socket) -> None:
    """Send a body that does not end, and no length."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    _endless(connection, b" " * 65536, 0)


def endless_chunks(connection: socket.socket) -> None:
    """Send chunks without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    _endless(connection, b"10000\r\n" + b" " * 65536 + b"\r\n", 0)


def speaks_otherwise(connection: socket.socket) -> None:
    """Answer in another protocol."""
    connection.sendall(b"220 mail.example ESMTP ready\r\n")


def _endless(connection: socket.socket, piece: bytes, wait_s: float) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        connection.sendall(piece)
        if wait_s:
            time.sleep(wait_s)


@contextlib.contextmanager
def lying(host: str = "127.0.0.1") -> Iterator[LyingServer]:
    """Run a server for a while."""
    server = LyingServer(host)
    yield server
    server.close()
