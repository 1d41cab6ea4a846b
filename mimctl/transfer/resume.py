"""One HTTP transfer of a file while it lasts: what is there is continued where it provably is the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from mimctl.errors import IntegrityError, MimctlError
from mimctl.transfer.address import redact
from mimctl.transfer.connection import Line
from mimctl.transfer.exchange import PassingError, Reply, exchange
from mimctl.transfer.model import Note, Progress
from mimctl.transfer.retry import with_retries
from mimctl.transfer.storage import Part, Validators, check_room
from mimctl.transfer.verify import Expected, wrong_length

_CHUNK = 1 << 15
_HTML_NAMES = frozenset({".html", ".htm", ".xhtml", ".xml", ".svg"})
_HTML_START = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script|meta)\b", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class Fetch:
    """One HTTP transfer while it lasts: what is wanted, and the partial file."""

    def __init__(
        self,
        opened: Line,
        url: str,
        dest: Path,
        expected: Expected,
        progress: Progress | None,
        note: Note | None,
        named_by: str | None,
    ) -> None:
        self.opened = opened
        self.url = url
        self.part = Part(dest=dest)
        self.expected = expected
        self.progress = progress
        self.note = note
        self.named_by = named_by
        self.has_resumed = False

    def run(self) -> None:
        """Bring the file, verify it, put it in its place; a resumed file that proves wrong is fetched anew once."""
        try:
            self._bring()
            problem = self.expected.problem(self.part.path, redact(self.url))
            if problem is not None and self.has_resumed:
                self.part.discard()
                self._bring()
                problem = self.expected.problem(self.part.path, redact(self.url))
            if problem is not None:
                raise problem
            self.part.place()
        except (MimctlError, OSError) as failure:
            if not isinstance(failure, MimctlError) or failure.code != "network":
                self.part.discard()
            raise

    def _bring(self) -> None:
        with_retries(
            self._attempt,
            url=self.url,
            settings=self.opened.settings,
            note=self.note,
            reached=self.part.size,
            wait=self.opened.wait,
        )

    def _attempt(self) -> None:
        known = self._known()
        offset = self.part.size() if known is not None else 0
        if known is not None and known.size == offset:
            self.has_resumed = True
            return
        headers = {"Accept-Encoding": "identity"}
        if known is not None and offset:
            headers["Range"] = f"bytes={offset}-"
            if known.if_range is not None:
                headers["If-Range"] = known.if_range
        with exchange(self.opened, self.url, headers=headers, named_by=self.named_by) as reply:
            if reply.status == 200:
                self._read_whole(reply)
            elif reply.status == 206 and known is not None and offset:
                self._read_rest(reply, known, offset)
            else:
                self.part.discard()
                raise PassingError(f"the server answered {reply.status} to a request for the rest of the file")

    def _known(self) -> Validators | None:
        """Return the partial file's validators where its bytes may be continued: same address, and either the
        server can tell that the file is the same or a hash will.
        """
        known = self.part.validators()
        if known is None or known.address != digest_of(self.url) or not self.part.path.is_file():
            return None
        if known.if_range is None and not self.expected.has_hash:
            return None
        return known if known.size is None or self.part.size() <= known.size else None

    def _read_whole(self, reply: Reply) -> None:
        total = reply.number("Content-Length")
        shown = redact(self.url)
        if total is not None and self.expected.size is not None and total != self.expected.size:
            raise wrong_length(shown, expected=self.expected.size, found=total)
        if total is not None:
            check_room(self.part.dest, total)
        first = reply.read(_CHUNK)
        self._check_not_html(reply, first)
        self._check_not_endless(len(first))
        with self.part.begin(validators_of(self.url, reply.headers, total)) as stream:
            stream.write(first)
            done = self._pour(reply, stream, len(first), total)
        _check_whole(done, total)

    def _read_rest(self, reply: Reply, known: Validators, offset: int) -> None:
        found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
        total = int(found[2]) if found is not None and found[2] != "*" else known.size
        is_same = (
            found is not None
            and int(found[1]) == offset
            and (known.size is None or total == known.size)
            and (known.etag is None or reply.headers.get("ETag", known.etag) == known.etag)
        )
        if not is_same:
            self.part.discard()
            raise PassingError("the file changed on the server")
        self.has_resumed = True
        if total is not None:
            check_room(self.part.dest, total - offset)
        with self.part.go_on() as stream:
            done = self._pour(reply, stream, offset, total)
        _check_whole(done, total)

    def _pour(self, reply: Reply, stream: BinaryIO, done: int, total: int | None) -> int:
        self._tell(done, total)
        while chunk := reply.read(_CHUNK):
            done += len(chunk)
            self._check_not_endless(done)
            stream.write(chunk)
            self._tell(done, total)
        return done

    def _check_not_endless(self, done: int) -> None:
        """Refuse a body that goes on beyond the file's known size: a server must not be able to fill the disk."""
        if self.expected.size is not None and done > self.expected.size:
            raise wrong_length(redact(self.url), expected=self.expected.size, found=done)

    def _tell(self, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _check_not_html(self, reply: Reply, first: bytes) -> None:
        """Refuse a sign-in or error page that is served as if it were the file."""
        if self.part.dest.suffix.lower() in _HTML_NAMES:
            return
        says_html = "html" in reply.headers.get("Content-Type", "").lower()
        if _HTML_START.match(first) or (says_html and not self.expected.has_hash):
            raise IntegrityError(
                f"`{redact(self.url)}` gave a web page instead of the file",
                code="html-instead-of-file",
                causes=[f"{reply.headers.get('Content-Type', 'no Content-Type')}, from `{redact(reply.url)}`"],
                hints=["open the address in a browser: a network's sign-in page may be in the way"],
            )


def _check_whole(done: int, total: int | None) -> None:
    if total is not None and done != total:
        raise PassingError(f"the connection closed after {done} of {total} bytes")


def validators_of(url: str, headers: Mapping[str, str], total: int | None) -> Validators:
    return Validators(
        address=digest_of(url), etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"), size=total
    )


def digest_of(url: str) -> str:
    """Return what a partial file remembers of its address, which may hold a secret."""
    return hashlib.sha256(url.encode()).hexdigest()
