"""A real HTTP server on the loopback that misbehaves as told, and settings that do not make tests wait."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
from loopback import QuietHandler, QuietServer

from mimctl.transfer import TransferSettings


class MisbehavingServer:
    """Serves `files` with ranges and validators; `faults` are consumed one a request, before the file is served.

    A fault is called with the handler: it answers by itself and returns True, or returns False to let the request go
    on. `always` is a fault of every request that none of them met. `cuts` holds numbers of body bytes after which the
    connection is cut, one a request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.tags: dict[str, str] = {}
        self.faults: list[Callable[[BaseHTTPRequestHandler], bool]] = []
        self.always: Callable[[BaseHTTPRequestHandler], bool] | None = None
        self.cuts: list[int] = []
        self.requests: list[dict[str, str]] = []
        self.num_body_bytes = 0
        self.most_at_once = 0
        self._num_now = 0
        self._lock = threading.Lock()
        self.has_validators = True
        self.knows_ranges = True
        self.says_length = True
        self.chunk_delay_s = 0.0
        self._http = QuietServer(self._handler())
        self.address = self._http.address
        self.close = self._http.close

    def will_answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer one of the coming requests with just this; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(lambda handler: answer(handler, status, body, named))

    def will_hang_up(self) -> None:
        """Close the connection of one of the coming requests without a byte."""
        self.faults.append(hang_up)

    def will_stall(self, seconds: float) -> None:
        """Promise a body to one of the coming requests and send nothing of it."""

        def stall(handler: BaseHTTPRequestHandler) -> bool:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            time.sleep(seconds)
            return hang_up(handler)

        self.faults.append(stall)

    def will_serve(self) -> None:
        """Serve one of the coming requests properly."""
        self.faults.append(lambda handler: False)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                server.requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                fault = server.faults.pop(0) if server.faults else server.always
                with server.counted():
                    if fault is None or not fault(self):
                        server.serve(self)

        return Handler

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count the requests that are being answered, and the most of them at once."""
        with self._lock:
            self._num_now += 1
            self.most_at_once = max(self.most_at_once, self._num_now)
        try:
            yield
        finally:
            with self._lock:
                self._num_now -= 1

    def is_idle(self) -> bool:
        """Say whether no request is being answered."""
        with self._lock:
            return self._num_now == 0

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        body = self.files.get(path)
        if body is None:
            answer(handler, 404, b"<html>no such page</html>", {"Content-Type": "text/html"})
            return
        etag = self.tags.get(path, '"' + hashlib.md5(body).hexdigest() + '"')
        headers = {"Content-Type": "application/octet-stream", **self.headers.get(path, {})}
        if self.has_validators:
            headers["ETag"] = etag
        if handler.headers.get("If-None-Match") == etag:
            answer(handler, 304, b"", headers)
            return
        tag = headers.get("ETag") or headers.get("Last-Modified") or ""
        span = self._span(handler, tag, len(body))
        if span is not None and span[0] >= len(body):
            answer(handler, 416, b"", {"Content-Range": f"bytes */{len(body)}"})
            return
        status = 200
        rest = body
        if span is not None:
            status, rest = 206, body[span[0] : span[1]]
            headers["Content-Range"] = f"bytes {span[0]}-{min(span[1], len(body)) - 1}/{len(body)}"
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if self.says_length:
            handler.send_header("Content-Length", str(len(rest)))
        else:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        self._send(handler, rest)

    def _span(self, handler: BaseHTTPRequestHandler, tag: str, size: int) -> tuple[int, int] | None:
        wanted = handler.headers.get("Range")
        if wanted is None or not self.knows_ranges:
            return None
        if handler.headers.get("If-Range", tag) != tag:
            return None
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if not first:
            return max(0, size - int(last)), size
        return int(first), int(last) + 1 if last else size

    def _send(self, handler: BaseHTTPRequestHandler, rest: bytes) -> None:
        cut = self.cuts.pop(0) if self.cuts else None
        try:
            rest = rest if cut is None else rest[:cut]
            step = 8192 if self.chunk_delay_s else max(1, len(rest))
            for offset in range(0, len(rest), step):
                handler.wfile.write(rest[offset : offset + step])
                handler.wfile.flush()
                self.num_body_bytes += len(rest[offset : offset + step])
                time.sleep(self.chunk_delay_s)
            if cut is not None:
                hang_up(handler)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
    """Send a whole answer; return True as faults do."""
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    return True


def hang_up(handler: BaseHTTPRequestHandler) -> bool:
    """Close the connection without another byte."""
    handler.wfile.flush()
    handler.close_connection = True
    return True


@pytest.fixture
def other_server() -> Iterator[MisbehavingServer]:
    running = MisbehavingServer()
    yield running
    running.close()


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    running = MisbehavingServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", "/dev/null")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def quick() -> TransferSettings:
    """Return settings that wait milliseconds between tries where people wait seconds.

    A server that says nothing is waited for as long as a busy machine may take; a test of that uses `impatient`.
    """
    return TransferSettings(timeout_s=30, retries=3, backoff_s=0.01, max_wait_s=1.5)


@pytest.fixture
def impatient(quick: TransferSettings) -> TransferSettings:
    """Return settings that take a server for stalled at once."""
    return replace(quick, timeout_s=0.6)
