"""Looks into source distributions that lie among wheels: would installing one compile anything?"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mimctl.errors import MimctlError

MAX_MEMBERS = 50_000
MAX_UNPACKED_BYTES = 1 << 30
MAX_TEXT_BYTES = 1 << 20
_COMPILING = re.compile(
    r"scikit[-_.]build|maturin|meson|setuptools[-_.]rust|setuptools[-_.]cpp|pybind11|nanobind|cython|cffi|mypyc|cmake|ninja"
    r"|torch\b|numpy\b|sipbuild|pyqtbuild|poetry[-_.]dynamic[-_.]build",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r"\b(?:ext_modules|cffi_modules|rust_extensions|(?:Cpp|CUDA)?Extension\s*\(|cythonize)")
_SOURCES = frozenset((".c", ".cc", ".cpp", ".cxx", ".cu", ".f", ".f90", ".hip", ".pyx", ".rs"))
_ASIDE = frozenset(("benchmarks", "doc", "docs", "examples", "test", "tests"))


def is_sdist(path: Path) -> bool:
    """Return whether a file has the name of a source distribution (PEP 625)."""
    from packaging.utils import InvalidSdistFilename, parse_sdist_filename

    try:
        parse_sdist_filename(path.name)
    except InvalidSdistFilename:
        return False
    return path.is_file()


def check_sdist(path: Path, compiled_projects: frozenset[str]) -> None:
    """Raise MimctlError[sdist] where a source distribution compiles, or where nobody can say whether it does.

    `compiled_projects` have compiled wheels, so their sources compile too. A pure one passes: it is left out of the
    index, as its wheel does the same and runs nobody's build script.
    """
    from packaging.utils import parse_sdist_filename

    project, _version = parse_sdist_filename(path.name)
    reason = f"{project} has compiled wheels" if project in compiled_projects else _reason(path)
    if reason is not None:
        raise MimctlError(
            f"`{path.name}` is the source distribution of a compiled package",
            code="sdist",
            causes=[reason, "where no wheel fits, pip would compile it on the user's machine"],
            hints=["move it out of the folder of wheels", "build wheels of it: `mimctl wheels build`"],
        )


def _reason(path: Path) -> str | None:
    """Return why a source distribution compiles, None where it does not."""
    texts: dict[str, str] = {}
    sources: list[str] = []
    try:
        for name, text in _members(path):
            inside = PurePosixPath(*PurePosixPath(name).parts[1:])
            if text is not None:
                texts[str(inside)] = text
            if inside.suffix.lower() in _SOURCES and not _ASIDE & set(inside.parts):
                sources.append(str(inside))
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error) as err:
        return f"it cannot be read: {err}"
    except (tarfile.TarError, zipfile.BadZipFile) as err:
        return f"it cannot be read: {err}"
    return _build_system(texts.get("pyproject.toml")) or _setup_script(texts.get("setup.py"), sources)


def _build_system(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        table = tomllib.loads(text).get("build-system", {})
    except tomllib.TOMLDecodeError as err:
        return f"its pyproject.toml cannot be read: {err}"
    if not isinstance(table, dict):
        return "its pyproject.toml has no usable [build-system]"
    words = [str(table.get("build-backend", "")), *map(str, table.get("requires") or ())]
    found = next((word for word in words if _COMPILING.search(word)), None)
    return f"its pyproject.toml builds it with {found}" if found else None


def _setup_script(text: str | None, sources: list[str]) -> str | None:
    if text is not None and _EXTENSION.search(text):
        return "its setup.py builds an extension"
    return f"it holds sources of compiled code: {sources[0]}" if sources else None


def _members(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield (name, text of what describes the build, else None) of each member; ValueError where it is too large."""
    return _of_zip(path) if path.suffix == ".zip" else _of_tar(path)


def _of_zip(path: Path) -> Iterator[tuple[str, str | None]]:
    with zipfile.ZipFile(path) as archive:
        for number, member in enumerate(archive.infolist()):
            _check_number(number)
            text = None
            if _describes(member.filename):
                with archive.open(member) as stream:
                    text = stream.read(MAX_TEXT_BYTES).decode("utf-8", "replace")
            yield member.filename, text


def _of_tar(path: Path) -> Iterator[tuple[str, str | None]]:
    with path.open("rb") as raw, tarfile.open(fileobj=_Bounded(gzip.GzipFile(fileobj=raw)), mode="r|") as archive:
        for number, member in enumerate(archive):
            _check_number(number)
            stream = archive.extractfile(member) if member.isfile() and _describes(member.name) else None
            yield member.name, stream.read(MAX_TEXT_BYTES).decode("utf-8", "replace") if stream else None


def _describes(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] in ("pyproject.toml", "setup.py")


def _check_number(number: int) -> None:
    if number >= MAX_MEMBERS:
        raise ValueError(f"it holds more than {MAX_MEMBERS} files")


class _Bounded(io.RawIOBase):
    """Passes on what is unpacked and refuses to go on beyond MAX_UNPACKED_BYTES."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        if self._done > MAX_UNPACKED_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return data
