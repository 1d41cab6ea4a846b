"""A static file server on the loopback that plays tricks for some paths, and what reads a built index."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up when they have seen enough."""


class Handler(SimpleHTTPRequestHandler):
    """A static file server that keeps what was asked for and plays a trick for some paths."""

    def __init__(self, *args: Any, server_facts: Server, **kwargs: Any) -> None:
        self.facts = server_facts
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.facts.asked.append(self.path)
        trick = self.facts.tricks.get(self.path)
        if trick is None:
            super().do_GET()
        else:
            trick(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server:
    """A folder on a loopback port. `tricks` are paths that are answered by hand."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.tricks: dict[str, Callable[[SimpleHTTPRequestHandler], None]] = {}
        self._http = _Http(("127.0.0.1", 0), partial(Handler, directory=str(folder), server_facts=self))
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where the folder is."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def wheels_asked(self) -> list[str]:
        """The wheels that were asked for, by name."""
        return [path.rpartition("/")[2].replace("%2B", "+") for path in self.asked if path.endswith(".whl")]

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


def endless(handler: SimpleHTTPRequestHandler) -> None:
    """Answer with a body that does not end, and no length."""
    handler.send_response(200)
    handler.end_headers()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            handler.wfile.write(b"x" * 65536)
        except OSError:
            return


def body(data: bytes) -> Callable[[SimpleHTTPRequestHandler], None]:
    """Answer with these bytes."""

    def answer(handler: SimpleHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def redirect(address: str) -> Callable[[SimpleHTTPRequestHandler], None]:
    """Answer that the file lies elsewhere."""

    def answer(handler: SimpleHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve one folder for a while."""
    server = Server(folder)
    yield server
    server.close()


def read(path: Path) -> dict[str, Any]:
    """Read a JSON document."""
    return json.loads(path.read_text(encoding="utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its contents."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
