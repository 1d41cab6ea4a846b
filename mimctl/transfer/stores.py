"""Files in object stores, `s3://` and `gs://`: read through fsspec, with the credentials of the store's own tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.transfer.address import redact
from mimctl.transfer.http.answers import digest_of
from mimctl.transfer.http.faults import PassingError
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.model import Note, Progress, TransferSettings
from mimctl.transfer.storage import Part, Validators, check_room
from mimctl.transfer.verify import Digests, Expected, wrong_length

_PIECE = 8 << 20
"""Bytes of one request."""
_PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}
"""Scheme → the package that fsspec reads it with, and the extra of mimctl that brings it."""
_TAGS = ("ETag", "etag", "generation")
_NO_LOGIN = re.compile(r"Credentials|Auth|Token|Forbidden|Permission|Refresh|Unauthorized", re.IGNORECASE)


def fetch_from_store(
    url: str,
    dest: Path,
    expected: Expected,
    *,
    settings: TransferSettings,
    progress: Progress | None,
    note: Note | None,
) -> Digests:
    """Bring an object to `dest` in pieces, go on where an earlier try stopped, verify it and put it in its place;
    return the hashes that were computed of it.

    An object is continued only while the store names it by the same tag. Raises MimctlError (`missing-extra`,
    `missing-file`, `store-refused`), NetworkError[network] and IntegrityError.
    """
    transfer = _Transfer(url, Part(dest=dest), expected, progress)
    digests: Digests = {}
    try:
        with_retries(transfer.attempt, url=url, settings=settings, note=note, reached=transfer.part.size)
        problem = expected.problem(transfer.part.path, redact(url), digests)
        if problem is not None:
            raise problem
        transfer.part.place()
        return digests
    except (MimctlError, OSError) as failure:
        if not isinstance(failure, MimctlError) or failure.code != "network":
            transfer.part.discard()
        raise


class _Transfer:
    """One object while it is fetched."""

    def __init__(self, url: str, part: Part, expected: Expected, progress: Progress | None) -> None:
        self.url = url
        self.part = part
        self.expected = expected
        self.progress = progress

    def attempt(self) -> None:
        """Fetch what is missing; raise PassingError where another try may bring more."""
        with _faults(self.url):
            store = _open(self.url)
            facts = self._facts(store)
        size = facts.size or 0
        if self.expected.size is not None and size != self.expected.size:
            raise wrong_length(redact(self.url), expected=self.expected.size, found=size)
        done = self.part.size() if self.part.validators() == facts and facts.etag else 0
        check_room(self.part.dest, size - done)
        with self.part.go_on() if 0 < done <= size else self.part.begin(facts) as stream:
            done = done if done <= size else 0
            self._tell(done, size)
            while done < size:
                with _faults(self.url):
                    piece = store.cat_file(self.url, start=done, end=min(done + _PIECE, size))
                if len(piece) != min(_PIECE, size - done):
                    raise PassingError(f"the store gave {len(piece)} bytes of a piece of {min(_PIECE, size - done)}")
                stream.write(piece)
                done += len(piece)
                self._tell(done, size)
        with _faults(self.url):
            store.invalidate_cache()
            if self._facts(store) != facts:
                self.part.discard()
                raise PassingError("the file changed in the store")

    def _facts(self, store: Any) -> Validators:
        """Return what the store tells of the object now."""
        said: Mapping[str, Any] = store.info(self.url)
        tag = next((str(said[name]) for name in _TAGS if said.get(name)), None)
        if said.get("type") == "directory" or said.get("size") is None:
            raise FileNotFoundError(self.url)
        return Validators(address=digest_of(self.url), etag=tag, last_modified=None, size=int(said["size"]))

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)


def _open(url: str) -> Any:
    """Return fsspec's file system for an address, with a memory of its own."""
    scheme = url.partition("://")[0].lower()
    package, extra = _PACKAGES[scheme]
    try:
        import fsspec

        import_module(package)  # fsspec says less of what is missing
        return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as err:
        raise MimctlError(
            f"`{redact(url)}` needs the package `{package}`",
            code="missing-extra",
            causes=[str(err)],
            hints=[f"install it beside mimctl: `pip install 'mimctl[{extra}]'`", "or fetch the file and give its path"],
        ) from err


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """Turn what the clients of the stores raise, each kinds of its own, into MimctlError or PassingError."""
    try:
        yield
    except (MimctlError, PassingError):
        raise
    except FileNotFoundError as problem:
        raise MimctlError(
            f"no file `{redact(url)}`",
            code="missing-file",
            causes=["the store has no such bucket or object, or does not show it to you"],
        ) from problem
    except Exception as problem:  # the boundary to other libraries
        name, said = type(problem).__name__, _plain(str(problem))
        is_refusal = isinstance(problem, PermissionError) or _NO_LOGIN.search(name) or said.startswith("Forbidden")
        if is_refusal or _status(problem) in (401, 403):
            raise _refused(url, said or name) from problem
        raise PassingError(said or name) from problem


def _status(problem: Exception) -> int | None:
    code = getattr(problem, "code", None) or getattr(problem, "status", None)
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None


def _refused(url: str, said: str) -> MimctlError:
    scheme = url.partition("://")[0].lower()
    own = {
        "s3": "log in as for the AWS tools (`aws configure`, `AWS_PROFILE`); a public bucket: `FSSPEC_S3_ANON=true`",
        "gs": "log in: `gcloud auth application-default login`; a public bucket: `FSSPEC_GS_TOKEN=anon`",
    }[scheme]
    return MimctlError(f"the store does not give `{redact(url)}`", code="store-refused", causes=[said], hints=[own])


def _plain(text: str) -> str:
    """Return the first line of what a library said, fit for a terminal."""
    return re.sub(r"[^\x20-\x7e]", "", text.partition("\n")[0])[:160]
