"""Read a small document of this machine: no connection is made, and nothing is imported that makes one."""

from __future__ import annotations

from mimctl.errors import IntegrityError, MimctlError
from mimctl.transfer.address import local_path, redact
from mimctl.transfer.document import Response


def read_local(url: str, *, etag: str | None, max_size: int, is_missing_ok: bool) -> Response:
    """Return the document at a path or a `file://` address; arguments and errors as `read.get_bytes`."""
    path = local_path(url)
    try:
        facts = path.stat()
        tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}-{facts.st_ino:x}"'
        if tag == etag:
            return Response(status=304, body=b"", etag=tag)
        if facts.st_size > max_size:
            raise too_large(url, max_size)
        return Response(status=200, body=path.read_bytes(), etag=tag, url=url)
    except (FileNotFoundError, NotADirectoryError):
        if is_missing_ok:
            return Response(status=404, body=b"", etag=None)
        raise MimctlError(f"no file `{path}`", code="missing-file", causes=["it is not there"]) from None
    except OSError as problem:
        raise MimctlError(f"cannot read `{path}`", code="missing-file", causes=[str(problem.strerror)]) from problem


def too_large(url: str, most: int) -> IntegrityError:
    """Return the error for a document of more than `most` bytes."""
    return IntegrityError(
        f"`{redact(url)}` is larger than a document of this kind can be",
        code="too-large",
        causes=[f"more than {most / 1e6:.0f} MB"],
        hints=["check the address"],
    )
