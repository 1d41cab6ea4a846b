"""What the head of an answer means: where a redirect may lead, and which status is passing or final."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from mimctl.errors import MimctlError
from mimctl.transfer.address import check_not_nearer, check_remote, redact
from mimctl.transfer.http.faults import PassingError, plain
from mimctl.transfer.login import without_login

if TYPE_CHECKING:
    import requests

_BUSY = (429, 503)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


def follow(url: str, target: str, location: str) -> str:
    """Return where a redirect leads, or raise: only http(s), never from https to http, never nearer to this machine.

    Its own user and password are dropped: they are the server's words, not a person's.
    """
    try:
        found = without_login(urljoin(target, location))
    except ValueError:
        raise bad_redirect(url, f"`{redact(target)}` leads to what is no address") from None
    scheme = found.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise bad_redirect(url, f"`{redact(target)}` leads to `{redact(found)}`, which is not http or https")
    if target.lower().startswith("https:") and scheme == "http":
        raise bad_redirect(url, f"`{redact(target)}` leads away from https to `{redact(found)}`")
    check_remote(found)
    check_not_nearer(found, than=target)
    return found


def bad_redirect(url: str, cause: str) -> MimctlError:
    return MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="bad-redirect",
        causes=[cause],
        hints=["give the address of the file itself"],
    )


def check_status(url: str, target: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    said = f"the server answered {status} {plain(response.reason)}".rstrip()
    if status in _PASSING:
        raise PassingError(said, retry_after_s=_retry_after(response.headers), is_busy=status in _BUSY)
    hints = ["check the address"]
    if status in (401, 403, 407):
        hints = ["put the credentials of this host into `~/.netrc` or the keyring, or check that the file is public"]
    where = "" if target is url else f" at `{redact(target)}`"
    raise MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="http-status",
        causes=[said + where],
        hints=hints,
        details={"status": status},
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds, or a date by the server's clock, where it tells that."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    try:
        now_s = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except ValueError:
        now_s = time.time()
    return max(0.0, until.timestamp() - now_s)
