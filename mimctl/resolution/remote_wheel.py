"""Read one member of a wheel on a server in a few pieces: the end of the archive, then that member."""

from __future__ import annotations

import io
from collections.abc import Callable

from mimctl.errors import IntegrityError
from mimctl.index.model import IndexFile
from mimctl.transfer import TransferSettings, is_remote, read_range
from mimctl.transfer.http.connection import Line

_TAIL = 1 << 17
"""Bytes of the end that come first: mostly the directory of the archive, and METADATA with it."""
_STEP = 1 << 15
_MOST = 24 << 20
"""Bytes that all pieces may have together."""


def read_remote(
    file: IndexFile, opened: Line, read: Callable[[io.RawIOBase, IndexFile], bytes], settings: TransferSettings
) -> bytes | None:
    """Return what `read` finds in a wheel on a server, None where the server gives no pieces or they do not fit
    together.

    Raises NetworkError and MimctlError as `transfer.read_range` does.
    """
    named_by = file.address if is_remote(file.address) else ""
    stream = _Pieces(file.url, opened, named_by, settings)
    if not stream.begin():
        return None
    try:
        return read(stream, file)
    except (IntegrityError, _NoPieceError):
        return None  # the whole wheel will tell


class _NoPieceError(OSError):
    """A piece that was there a moment ago is not given any more, or all together would be too much."""


class _Pieces(io.RawIOBase):
    """A remote file that can be read anywhere; every piece is kept."""

    def __init__(self, url: str, opened: Line, named_by: str, settings: TransferSettings) -> None:
        super().__init__()
        self._url = url
        self._opened = opened
        self._named_by = named_by
        self._settings = settings
        self._etag: str | None = None
        self._size = 0
        self._position = 0
        self._num_bytes = 0
        self._pieces: list[tuple[int, bytes]] = []

    def begin(self) -> bool:
        """Fetch the end of the file; return whether the server gives pieces."""
        piece = read_range(self._url, -_TAIL, settings=self._settings, named_by=self._named_by, opened=self._opened)
        if piece is None:
            return False
        self._size, self._etag = piece.total, piece.etag
        self._pieces.append((piece.start, piece.body))
        return True

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if not wanted:
            return b""
        start = self._position
        self._position += wanted
        for begin, body in self._pieces:
            if begin <= start and start + wanted <= begin + len(body):
                return body[start - begin : start - begin + wanted]
        return self._bring(start, wanted)[:wanted]

    def _bring(self, start: int, wanted: int) -> bytes:
        end = min(self._size, start + max(wanted, _STEP))
        self._num_bytes += end - start
        if self._num_bytes > _MOST:
            raise _NoPieceError("too much")
        piece = read_range(
            self._url,
            start,
            end,
            etag=self._etag,
            settings=self._settings,
            named_by=self._named_by,
            opened=self._opened,
        )
        if piece is None or piece.total != self._size or len(piece.body) != end - start:
            raise _NoPieceError("no such piece")
        self._pieces.append((start, piece.body))
        return piece.body
