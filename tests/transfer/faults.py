"""What servers, and those on the way, do to a download: each a fault for the server of these tests."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import socket
import struct
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TypeAlias

Handler: TypeAlias = BaseHTTPRequestHandler
Fault: TypeAlias = Callable[[Handler], bool]
"""Returns whether it has answered; where not, the request goes on."""

PAGE = b"\n <!DOCTYPE html><html>please sign in</html>"


def raw(*pieces: bytes, pause_s: float = 0.0) -> Fault:
    """Send just these bytes, a pause between them, and close the connection."""

    def fault(handler: Handler) -> bool:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            for piece in pieces:
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(pause_s)
        return True

    return fault


def says(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer whole, with these headers; `_` in a name stands for `-`. The connection ends with it, and that is said."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Length", str(len(body)))
    named.setdefault("Connection", "close")
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return raw(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body)


def cut(body: bytes, after: int) -> Fault:
    """Begin the whole file, with its tag, and close the connection after some bytes of it."""
    return says(200, body[:after], Content_Length=str(len(body)), ETag='"one"')


def resets(body: bytes, after: int) -> Fault:
    """Begin the file, and have the connection reset."""

    def fault(handler: Handler) -> bool:
        cut(body, after)(handler)
        time.sleep(0.05)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        return True

    return fault


def stalls(sent: bytes, seconds: float) -> Fault:
    """Send something, then nothing for some seconds."""
    return raw(sent, b"", pause_s=seconds)


def drips(sent: bytes, pause_s: float) -> Fault:
    """Send bytes one at a time."""
    return raw(*(sent[number : number + 1] for number in range(len(sent))), pause_s=pause_s)


def chunked(body: bytes, *, is_whole: bool = True, size: str = "{:x}") -> Fault:
    """Send a body in chunks, without a length."""
    head = b'HTTP/1.1 200 OK\r\nETag: "one"\r\nTransfer-Encoding: chunked\r\n\r\n'
    middle = b"".join(
        size.format(len(piece)).encode() + b"\r\n" + piece + b"\r\n"
        for piece in (body[offset : offset + 9_999] for offset in range(0, len(body), 9_999))
    )
    return raw(head, middle if is_whole else middle[: len(middle) // 2], b"0\r\n\r\n" if is_whole else b"")


def packed(body: bytes) -> Fault:
    """Send a file in gzip that nobody asked for."""
    return says(200, gzip.compress(body), Content_Encoding="gzip", ETag='"one"')


def leads(location: str) -> Fault:
    """Redirect."""
    return says(302, Location=location)


def busy(status: int, wish: str) -> Fault:
    """Ask to come again later."""
    return says(status, Retry_After=wish)


def busy_until(seconds: float, *, clock_s: float = 0.0) -> Fault:
    """Ask to come again at a time; the server's clock is `clock_s` ahead of ours."""

    def fault(handler: Handler) -> bool:
        now = time.time() + clock_s
        dates = [email.utils.formatdate(each, usegmt=True) for each in (now, now + seconds)]
        return says(429, Date=dates[0], Retry_After=dates[1])(handler)

    return fault


def piece(body: bytes, content_range: str, **headers: str) -> Fault:
    """Answer a request for the rest of a file (any other is served) with what is said to be this piece."""

    def fault(handler: Handler) -> bool:
        if "Range" not in handler.headers:
            return False
        named = {"ETag": '"one"', "Content_Range": content_range, **headers}
        return says(206, body, **named)(handler)

    return fault


def to_ranges(inner: Fault) -> Fault:
    """Meet with a fault only who asks for a piece of a file."""
    return lambda handler: "Range" in handler.headers and inner(handler)
