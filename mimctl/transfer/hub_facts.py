"""What the Hugging Face Hub tells of a file before it is fetched: its hash and length, where it is stored as LFS."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mimctl.errors import MimctlError
from mimctl.transfer.address import redact
from mimctl.transfer.http.connection import line
from mimctl.transfer.http.exchange import exchange
from mimctl.transfer.http.faults import offline
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.hub import find_place
from mimctl.transfer.model import Note, TransferSettings
from mimctl.transfer.verify import Expected

_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
_DEFAULT = TransferSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of the Hub as it is fetched. `sha256` and `size` are None where the Hub keeps it in Git itself."""

    url: str
    sha256: str | None = None
    size: int | None = None


def look_up(
    url: str, *, settings: TransferSettings = _DEFAULT, note: Note | None = None, named_by: str | None = None
) -> HubFile:
    """Return where the file of an `hf://` address is fetched from, with the hash and length that the Hub names.

    Only the Hub itself is asked, never the server that it leads to: the SHA-256 of an LFS file stands in
    `X-Linked-Etag`, or in `ETag` where the Hub gives the file itself. Raises as `download` does.
    """
    address = find_place(url).url
    if settings.offline:
        raise offline(url)

    def ask() -> HubFile:
        with exchange(
            opened, address, headers={"Accept-Encoding": "identity"}, named_by=named_by, method="HEAD", stays=True
        ) as reply:
            found = _SHA256.fullmatch(reply.headers.get("X-Linked-Etag") or reply.headers.get("ETag", ""))
            return HubFile(
                url=address, sha256=found[1] if found is not None else None, size=reply.number("X-Linked-Size")
            )

    try:
        with line(settings) as opened:
            return with_retries(ask, url=url, settings=settings, note=note, wait=opened.wait)
    except MimctlError as problem:
        if problem.details.get("status") not in (401, 403, 404):
            raise
        raise _refused(url, problem) from problem


def as_told(
    url: str, expected: Expected, *, settings: TransferSettings, note: Note | None, named_by: str | None
) -> tuple[str, Expected]:
    """Return where the file of an `hf://` address is fetched from, and what is expected of it there (see `look_up`)."""
    found = look_up(url, settings=settings, note=note, named_by=named_by)
    return found.url, expected.joined(sha256=found.sha256, size=found.size)


def _refused(url: str, problem: MimctlError) -> MimctlError:
    """Return the Hub's refusal with what helps: it answers 401 for repositories that are not there, too."""
    place = find_place(url)
    hints = [f"check the address: repository `{place.repo}`, file `{place.path}`, revision `{place.revision}`"]
    if problem.details.get("status") != 404:
        hints += [
            "a private or gated repository wants your token: `hf auth login`, or `HF_TOKEN`",
            "a gated one wants its terms accepted on its page first",
        ]
    return MimctlError(
        f"the Hugging Face Hub does not give `{redact(url)}`",
        code=problem.code,
        causes=problem.causes,
        hints=hints,
        details=problem.details,
    )
