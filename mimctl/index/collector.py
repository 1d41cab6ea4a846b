"""What was found on a page, made into files: names, hashes and addresses are checked here, whatever the page is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urljoin

from mimctl.errors import MimctlError
from mimctl.index.filenames import NameReader, is_own, is_safe
from mimctl.index.model import Build, IndexFile, SourceFile

_API_MAJOR = "1"
_WHOLE = ("https://", "http://")
_HEX = "0123456789abcdef"
_BACKEND = re.compile(r"cpu|cu\d\d|rocm|python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page holds of one project."""

    files: tuple[IndexFile, ...] = ()
    sources: tuple[SourceFile, ...] = ()

    @property
    def sdists(self) -> tuple[str, ...]:
        """Return the file names of source distributions."""
        return tuple(each.filename for each in self.sources)


def bad_page(shown: str, cause: str) -> MimctlError:
    """Return the error for a page of a package index that cannot be used; `shown` is its address without secrets."""
    return MimctlError(
        f"`{shown}` is not a usable page of a package index",
        code="bad-index",
        causes=[cause],
        hints=["check the address of the index", "or leave that index out of the configuration"],
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What an anchor or an entry says of a file besides its address and hashes."""

    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False


_NOTHING = Said()
_Row = tuple[str, str, str | None, int | None, str, tuple[str, ...], Said, str | bool]


class Collector:
    """Collects the files of one page."""

    def __init__(self, project: str, url: str, address: str, *, is_strict: bool = True) -> None:
        self.url = url
        self.base = url
        self._project = project
        self._address = address
        self._is_strict = is_strict
        self._is_remote = url.startswith(_WHOLE)
        self._names = NameReader(project)
        self._folders: dict[str, str] = {}
        self._rows: list[_Row] = []
        self._sources: dict[str, SourceFile] = {}

    def page(self) -> Page:
        """Return what was collected."""
        project, address = self._project, self._address
        builds = _builds(self._rows) if is_own(project) else {}
        files = tuple(
            IndexFile(
                project=project,
                filename=filename,
                url=url,
                sha256=sha256,
                size=size,
                version=version,
                tags=tags,
                requires_python=said.requires_python,
                yanked=said.yanked,
                build=builds.get(version) or builds.get(tags),
                address=address,
                has_metadata=bool(metadata),
                metadata_sha256=metadata if metadata.__class__ is str else None,
            )
            for filename, url, sha256, size, version, tags, said, metadata in self._rows
        )
        return Page(files=files, sources=tuple(self._sources.values()))

    def take(
        self,
        href: str,
        filename: str | None,
        *,
        sha256: str | None,
        metadata: str | bool = False,
        size: int | None = None,
        facts: Said | None = None,
    ) -> None:
        """Add a file; `metadata` is the hash of its METADATA, or whether that lies beside it."""
        if filename is None:
            filename = (href.partition("?")[0] if "?" in href else href).rpartition("/")[2]
            if "%" in filename:
                filename = filename.replace("%2B", "+")
                filename = unquote(filename) if "%" in filename else filename
        named = self._names.wheel(filename)
        if named is None:
            if self._names.is_sdist(filename):
                self._take_source(href, filename, sha256, facts or _NOTHING)
            elif self._is_strict and filename.endswith(".whl") and not is_safe(filename):
                raise bad_page(self.shown, f"{filename[:200]!r} is not the name of a wheel")
            return
        if sha256 is not None and (len(sha256) != 64 or sha256.strip(_HEX)):
            sha256 = self._hash(sha256, filename)
        if metadata.__class__ is str and (len(metadata) != 64 or metadata.strip(_HEX)):
            metadata = self._hash(metadata, filename)
        url = href if href.startswith(_WHOLE) or not self.url else self._joined(href)
        self._rows.append((filename, url, sha256, size, *named, facts or _NOTHING, metadata))

    def _take_source(self, href: str, filename: str, sha256: str | None, facts: Said) -> None:
        url = href if href.startswith(_WHOLE) or not self.url else self._joined(href)
        digits = None if sha256 is None else self._hash(sha256, filename)
        source = SourceFile(
            filename=filename, url=url, sha256=digits, requires_python=facts.requires_python, yanked=facts.yanked
        )
        self._sources.setdefault(filename, source)

    def _hash(self, text: str, filename: str) -> str:
        digits = text.lower()
        if len(digits) != 64 or digits.strip(_HEX):
            raise bad_page(self.shown, f"`{filename}` has no valid sha256")
        return digits

    @property
    def shown(self) -> str:
        """Return the page's address without secrets."""
        from mimctl.transfer import redact

        return redact(self.url or self._address)

    def _joined(self, href: str) -> str:
        if "?" in href:
            found = urljoin(self.base, href)
        else:
            head, slash, tail = href.rpartition("/")
            folder = self._folders.get(head + slash)
            if folder is None:
                folder = self._folders[head + slash] = urljoin(self.base, head + slash or ".")
            found = folder + tail
        if self._is_remote and not found.startswith(_WHOLE):
            from mimctl.transfer import redact

            raise bad_page(
                self.shown, f"it leads to `{redact(found)[:200]}`, which is neither relative nor an http address"
            )
        return found


def _builds(rows: Iterable[_Row]) -> dict[str | tuple[str, ...], Build]:
    """Return how our own wheels were built, by version where its label tells (`cu13` in `0.3.0+cu13`), else by tags:
    where a project has compiled wheels, one for any platform is its pure-PyTorch build.
    """
    found: dict[str | tuple[str, ...], Build] = {}
    for version in {row[4] for row in rows}:
        label = version.partition("+")[2]
        if _BACKEND.fullmatch(label):
            found[version] = Build(backend=label)
    kinds = {row[5] for row in rows}
    pure = {tags for tags in kinds if tags[0].endswith("-any")}
    if pure != kinds:
        found.update(dict.fromkeys(pure, Build(backend="python")))
    return found


def check_version(page: Collector, version: str) -> None:
    """Raise where a page is written in another version of the simple repository interface (PEP 629)."""
    major = version.partition(".")[0]
    if major == _API_MAJOR:
        return
    if not major.isdigit():
        raise bad_page(page.shown, "it does not say which version of the interface it is written in")
    raise MimctlError(
        f"`{page.shown}` is written in version {version[:20]} of the simple repository interface",
        code="index-version",
        causes=[f"this mimctl reads version {_API_MAJOR} (PEP 629)"],
        hints=["upgrade mimctl", "or name another index"],
    )
