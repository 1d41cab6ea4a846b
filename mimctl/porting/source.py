"""Source files as bytes that come back unchanged: encoding, byte order mark, line ends, positions of syntax nodes."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings
from bisect import bisect_right
from dataclasses import dataclass

from mimctl.errors import MimctlError, Origin

MAX_BYTES = 4_000_000
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed Python file. `text` keeps its line ends; `starts` are the offsets of its lines in characters."""

    path: str
    text: str
    encoding: str
    mark: bytes
    tree: ast.Module
    starts: tuple[int, ...]

    def offset(self, line: int, column: int) -> int:
        """Return the offset in characters of a 1-based line and a 0-based column in UTF-8 bytes, as `ast` counts."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        piece = self.text[start:end]
        if piece.isascii():
            return start + column
        return start + len(piece.encode("utf-8")[:column].decode("utf-8"))

    def span(self, node: ast.stmt | ast.expr | ast.alias) -> tuple[int, int]:
        """Return where a node begins and ends, in characters."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def line_of(self, offset: int) -> int:
        """Return the 1-based line that holds an offset in characters."""
        return bisect_right(self.starts, offset)

    def encode(self, text: str) -> bytes:
        """Return other text in this file's encoding, with its byte order mark."""
        return self.mark + text.encode(self.encoding)


def read_source(data: bytes, path: str) -> Source:
    """Read Python source; raise MimctlError[port-refused] with file and line where it is none."""
    if len(data) > MAX_BYTES:
        raise _refuse(path, None, f"it is larger than {MAX_BYTES // 1_000_000} MB")
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        lines = io.BytesIO(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        encoding = tokenize.detect_encoding(lines.readline)[0].removesuffix("-sig")
        text = data[len(mark) :].decode(encoding)
        is_same = text.encode(encoding) == data[len(mark) :]
    except (SyntaxError, UnicodeError, LookupError) as err:
        raise _refuse(path, 1, f"it cannot be decoded: {err}") from err
    if not is_same:
        raise _refuse(path, 1, f"its encoding `{encoding}` does not give back the same bytes")
    return Source(
        path=path,
        text=text,
        encoding=encoding,
        mark=mark,
        tree=parse(text, path),
        starts=(0, *(found.end() for found in _LINE_END.finditer(text))),
    )


def parse(text: str, path: str) -> ast.Module:
    """Parse source text without a word about its style; raise MimctlError[port-refused]."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as err:
        raise _refuse(path, err.lineno or 1, f"it is no Python that {_version()} reads: {err.msg}") from err
    except (ValueError, RecursionError, MemoryError) as err:
        raise _refuse(path, 1, f"it is no Python: {err or 'nested too deeply'}") from err


def _version() -> str:
    import sys

    return f"Python {sys.version_info.major}.{sys.version_info.minor}"


def _refuse(path: str, line: int | None, reason: str) -> MimctlError:
    return MimctlError(f"`{path}` is left as it is: {reason}", code="port-refused", origin=Origin(file=path, line=line))
