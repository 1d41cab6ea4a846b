"""Keep the documents of indexes on disk with their ETags, so that an unchanged one is not sent again."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import NamedTuple


class Kept(NamedTuple):
    """A document as it was last seen; `body` is None where the index had none of that name."""

    body: bytes | None
    etag: str | None
    url: str = ""
    """Where it was found at last, redirects followed."""
    content_type: str = ""
    fresh_until: float = 0.0
    """Seconds since the epoch: until then nobody need ask whether it has changed."""


class DocumentCache:
    """Documents by address in one folder; a cache that cannot be written is as good as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, url: str) -> Kept | None:
        """Return what is kept for `url`, None where nothing (readable) is."""
        try:
            head, _, body = self._path(url).read_bytes().partition(b"\n")
            facts = json.loads(head)
            if facts["url"] != _without_secret(url):
                return None
            return Kept(
                body=body if facts["found"] else None,
                etag=facts["etag"],
                url=str(facts.get("found_at") or url),
                content_type=str(facts.get("content_type", "")),
                fresh_until=float(facts.get("fresh_until", 0.0)),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, url: str, kept: Kept) -> None:
        """Keep a document; quietly keep none where the folder cannot be written."""
        import tempfile

        facts = {"url": _without_secret(url), "found": kept.body is not None, "etag": kept.etag}
        if kept.url and kept.url != url:
            facts["found_at"] = _without_secret(kept.url)
        if kept.fresh_until:
            facts |= {"content_type": kept.content_type, "fresh_until": kept.fresh_until}
        head = json.dumps(facts)
        path = self._path(url)
        temporary: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
            with os.fdopen(handle, "wb") as stream:
                stream.write(head.encode() + b"\n" + (kept.body or b""))
            Path(temporary).replace(path)
        except OSError:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()

    def _path(self, url: str) -> Path:
        import hashlib

        return self._folder / hashlib.sha256(url.encode()).hexdigest()[:32]


def _without_secret(url: str) -> str:
    from mimctl.transfer import redact

    return redact(url)
