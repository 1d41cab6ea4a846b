"""A package index on the loopback that answers as one is told: pages, pieces, validators, redirects, faults."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote


class Web:
    """An index server on the loopback: `pages` are what it has by path, `asked` what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.headers: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.knows_ranges = True
        self.asked: list[str] = []
        self.answers: list[tuple[int, str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                web.asked.append(path)
                if path in web.redirects:
                    self._answer(302, b"", {"Location": web.redirects[path]})
                    return
                status = web.statuses.get(path, 200)
                kind, body = web.pages.get(unquote(path), ("", b""))
                if status == 200 and not kind:
                    status = 404
                tag = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
                if status != 200:
                    self._answer(status, b"", {})
                elif self.headers.get("If-None-Match") == tag:
                    self._answer(304, b"", {"ETag": tag, **web.headers})
                elif web.knows_ranges and self.headers.get("Range"):
                    first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                    begin = int(first) if first else max(0, len(body) - int(last))
                    piece = body[begin : int(last) + 1 if first and last else None]
                    span = f"bytes {begin}-{begin + len(piece) - 1}/{len(body)}"
                    self._answer(206, piece, {"Content-Range": span, "ETag": tag})
                else:
                    self._answer(200, body, {"ETag": tag, "Content-Type": kind, **web.headers})

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                web.answers.append((status, self.path, self.headers.get("Range")))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 64

        self._http = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add(
        self, wheel: Path, *, root: str = "/simple", metadata: bytes | None = None, hashed: bool = True, extra: str = ""
    ) -> None:
        """Put a wheel on the project page below `root`; with `metadata` that document lies beside it."""
        project = wheel.name.partition("-")[0].lower().replace("_", "-")
        data = wheel.read_bytes()
        self.pages[f"{root}/files/{wheel.name}"] = ("application/octet-stream", data)
        fragment = f"#sha256={hashlib.sha256(data).hexdigest()}" if hashed else ""
        if metadata is not None:
            extra += f' data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"'
            self.pages[f"{root}/files/{wheel.name}.metadata"] = ("text/plain", metadata)
        _, known = self.pages.get(f"{root}/{project}/", ("", b""))
        anchor = f'<a href="../files/{quote(wheel.name)}{fragment}"{extra}>{wheel.name}</a>\n'
        self.pages[f"{root}/{project}/"] = ("text/html", known + anchor.encode())
