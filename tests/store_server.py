"""Object stores on the loopback: what s3fs and gcsfs ask of S3 and of Google's JSON interface to read objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from loopback import QuietHandler, Served


class StoreServer(Served):
    """Holds `objects` ("bucket/key" → bytes). `faults` are consumed one a request for bytes: called with the handler,
    which they answer by themselves. `ranges` are those that were asked for; a bucket in `closed` is forbidden.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.closed: set[str] = set()
        self.faults: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.ranges: list[str] = []

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(QuietHandler):
            def do_HEAD(self) -> None:
                outer.serve(self)

            def do_GET(self) -> None:
                outer.serve(self)

        return Handler

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request for an object, for what is known of it, or for a listing (which is empty)."""
        path = unquote(urlsplit(handler.path).path)
        is_google = "/storage/v1/b/" in path
        name = path.partition("/storage/v1/b/")[2].replace("/o/", "/", 1) if is_google else path[1:]
        bucket = name.partition("/")[0]
        body = self.objects.get(name)
        if bucket in self.closed:
            _send(handler, 403, _problem(is_google, 403, "AccessDenied", "Access Denied"))
        elif body is None and not is_google and "list-type" in handler.path:
            _send(handler, 200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
        elif body is None:
            _send(handler, 404, _problem(is_google, 404, "NoSuchKey", "not there"))
        elif is_google and "alt=media" not in handler.path:
            facts = {"name": name.partition("/")[2], "bucket": bucket, "size": str(len(body)), "etag": _tag(body)}
            _send(handler, 200, json.dumps({"kind": "storage#object", **facts}).encode())
        else:
            self._send_object(handler, body)

    def _send_object(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        wanted = handler.headers.get("Range")
        headers = {"ETag": f'"{_tag(body)}"', "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}
        if handler.command == "GET":
            self.ranges.append(wanted or "")
            if self.faults:
                self.faults.pop(0)(handler)
                return
        if wanted is None:
            _send(handler, 200, body, headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        piece = body[int(first) : int(last) + 1]
        span = f"bytes {first}-{int(first) + len(piece) - 1}/{len(body)}"
        _send(handler, 206, piece, {**headers, "Content-Range": span})


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Promise many bytes, send some, hang up."""
    handler.send_response(206)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"x" * 1000)
    handler.wfile.flush()
    handler.close_connection = True


def _tag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def _problem(is_google: bool, status: int, code: str, said: str) -> bytes:
    if is_google:
        return json.dumps({"error": {"code": status, "message": said}}).encode()
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    kind = (
        "application/xml"
        if body.startswith(b"<")
        else "application/json"
        if body.startswith(b"{")
        else "binary/octet-stream"
    )
    handler.send_response(status)
    for name, value in {"Content-Type": kind, **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
