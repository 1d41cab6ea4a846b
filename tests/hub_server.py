"""A stand-in of the Hugging Face Hub on the loopback: `resolve/` addresses, LFS behind another server, tokens."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from urllib.parse import unquote

from loopback import QuietHandler, QuietServer


@dataclass
class HubServer:
    """Serves `files` ("owner/repo@revision/path" → bytes); those in `lfs` by a redirect to a second server.

    `requests` are (server, method, path, Authorization) as they came; a repository in `private` wants the token. What
    `told` holds stands in `X-Linked-Etag` in the place of the file's own hash.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    lfs: set[str] = field(default_factory=set)
    private: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str, str | None]] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> HubServer:
        self._hub, self._store = (QuietServer(self._handler(name)) for name in ("hub", "cdn"))
        self.address = self._hub.address
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        for server in (self._hub, self._store):
            server.close()

    def put(self, repo: str, path: str, body: bytes, *, revision: str = "main", is_lfs: bool = True) -> str:
        """Publish a file; return its SHA-256."""
        key = f"{repo}@{revision}/{path}"
        self.files[key] = body
        if is_lfs:
            self.lfs.add(key)
        return hashlib.sha256(body).hexdigest()

    def _handler(self, name: str) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(QuietHandler):
            def do_HEAD(self) -> None:
                self._serve(has_body=False)

            def do_GET(self) -> None:
                self._serve(has_body=True)

            def _serve(self, *, has_body: bool) -> None:
                outer.requests.append((name, self.command, self.path, self.headers.get("Authorization")))
                status, headers, body = outer.answer(name, self.path, self.headers.get("Authorization"))
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if has_body:
                    self.wfile.write(body)

        return Handler

    def answer(self, name: str, path: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
        if name == "cdn" or path.startswith("/api/resolve-cache/"):
            body = self.files[unquote(path.partition("/blob/")[2])]
            return 200, {"ETag": '"of-the-cdn"', "Content-Type": "application/octet-stream"}, body
        repo, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, inner = rest.partition("/")
        key = f"{unquote(repo)}@{unquote(revision)}/{unquote(inner)}"
        wanted = self.private.get(repo)
        if wanted is not None and authorization != f"Bearer {wanted}":
            return 401, {"X-Error-Code": "RepoNotFound"}, b"Invalid username or password."
        if key not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found"
        body = self.files[key]
        if key not in self.lfs:
            return 307, {"Location": f"/api/resolve-cache/blob/{key}", "X-Repo-Commit": "c" * 40}, b""
        linked = self.told.get(key, hashlib.sha256(body).hexdigest())
        headers = {"X-Linked-Etag": f'"{linked}"', "X-Linked-Size": str(len(body)), "X-Repo-Commit": "c" * 40}
        return 302, {**headers, "Location": f"{self._store.address}/blob/{key}"}, b""
