"""A real proxy on the loopback: plain requests passed on, TLS through CONNECT, a login where it wants one."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from loopback import QuietHandler, Served


class ProxyServer(Served):
    """Passes requests on; `asked` are (method, target) as they came. `hosts` are names that only the proxy knows.

    `login` ("user:password") is wanted of everybody. A tunnel is cut after `cuts` bytes of an answer, one a tunnel.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.hosts: dict[str, str] = {}
        self.login: str | None = None
        self.cuts: list[int] = []

    def is_welcome(self, handler: BaseHTTPRequestHandler) -> bool:
        """Answer 407 where the login is not the right one."""
        wanted = None if self.login is None else f"Basic {b64encode(self.login.encode()).decode()}"
        if wanted is not None and handler.headers.get("Proxy-Authorization") != wanted:
            handler.send_response(407)
            handler.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return False
        return True

    def place_of(self, host: str, port: int) -> tuple[str, int]:
        """Return where a host is, whose name nobody else may know."""
        return self.hosts.get(host, host), port

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(QuietHandler):
            def do_CONNECT(self) -> None:
                outer.asked.append(("CONNECT", self.path))
                host, _, port = self.path.rpartition(":")
                if not outer.is_welcome(self):
                    return
                with socket.create_connection(outer.place_of(host, int(port))) as server:
                    self.send_response(200)
                    self.end_headers()
                    _join(self.connection, server, outer.cuts.pop(0) if outer.cuts else None)
                self.close_connection = True

            def do_GET(self) -> None:
                outer.asked.append(("GET", self.path))
                if not outer.is_welcome(self):
                    return
                parts = urlsplit(self.path)
                onward = http.client.HTTPConnection(*outer.place_of(parts.hostname or "", parts.port or 80))
                headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
                onward.request("GET", parts._replace(scheme="", netloc="").geturl(), headers=headers)
                answer = onward.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                onward.close()

        return Handler


def _join(client: socket.socket, server: socket.socket, most: int | None) -> None:
    """Carry bytes both ways until one side ends, or the server has sent `most`."""
    sent = 0
    with contextlib.suppress(OSError):
        while True:
            for each in select.select([client, server], [], [])[0]:
                chunk = each.recv(1 << 14)
                if not chunk:
                    return
                if each is client:
                    server.sendall(chunk)
                    continue
                client.sendall(chunk if most is None else chunk[: max(0, most - sent)])
                sent += len(chunk)
                if most is not None and sent >= most:
                    return
