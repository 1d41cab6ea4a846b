"""Serve the folder of an index on this machine, for browsers, pip, uv and mimctl."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mimctl.errors import MimctlError, UsageError
from mimctl.site.layout import is_site


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder; the system's own table of kinds may call a script plain text, which browsers refuse."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".json": "application/json"}
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Ask browsers to look anew each time: the index may be built again while it is served."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


@contextmanager
def serving(site: Path, port: int) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    """Yield the address of an index that is being made ready, and its server, whose `serve_forever` serves it.

    Only this machine reaches it. Port 0 is a free one. Raises UsageError[not-an-index] for another folder,
    MimctlError[port-in-use].
    """
    if not is_site(site):
        raise UsageError(
            f"`{site}` is no index",
            code="not-an-index",
            hints=["build one: `mimctl index build --wheels DIR --out DIR`"],
        )
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Handler, directory=str(site)))
    except OSError as err:
        raise MimctlError(
            f"port {port} is taken",
            code="port-in-use",
            causes=[err.strerror or str(err)],
            hints=["leave out `--port`: a free one is found"],
        ) from err
    with server:
        yield f"http://127.0.0.1:{server.server_address[1]}", server
