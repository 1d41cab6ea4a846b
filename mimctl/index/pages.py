"""Project pages of package indexes (PEP 503 HTML, PEP 691 JSON) and pages of links, read into files; pure.

An index of a hundred thousand files is read in about a second, and what a page says costs time in proportion to its
length, whatever it says.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urljoin

from mimctl.errors import MimctlError
from mimctl.index.bulk import bulk
from mimctl.index.filenames import SDIST_ENDINGS, NameReader, is_own, is_safe
from mimctl.index.model import Build, IndexFile, SourceFile

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
"""What a project page is asked for as."""
_API_MAJOR = "1"
_ANCHOR = re.compile(r"<[aA](?=\s)")
_TAG = re.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
_USUAL = re.compile(
    r"""\s+href="([^"#&\s]*+)#sha256=([0-9a-f]{64})"(?:\s+data-core-metadata="sha256=([0-9a-f]{64})")?+"""
    r"""((?:[^>"'<]++|"[^"<]*+")*+)>"""
)
"""An anchor as indexes write it; others are taken apart with more care."""
_SHA256 = "sha256="
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'=<>`]+)""")
_BARE = re.compile(r"\bdata-yanked(?=[\s>/])(?!\s*=)", re.IGNORECASE)
_BASE = re.compile(r"<base\s([^>]{0,4096})>", re.IGNORECASE)
_META = re.compile(r"<meta\s([^>]{0,1024})>", re.IGNORECASE)
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_WHOLE = ("https://", "http://")
_HEX = "0123456789abcdef"
_BACKEND = re.compile(r"cpu|cu\d\d|rocm|python")
_HEAD = 1 << 16
"""Characters of a page in which its version and its base are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page holds of one project."""

    files: tuple[IndexFile, ...] = ()
    sources: tuple[SourceFile, ...] = ()

    @property
    def sdists(self) -> tuple[str, ...]:
        """Return the file names of source distributions."""
        return tuple(each.filename for each in self.sources)


def parse_page(body: bytes, *, project: str, url: str, address: str, content_type: str = "") -> Page:
    """Return what a project page says of `project` (normalised).

    `url` is the page's own address, from which relative links count, `address` the index's. Files of other projects
    and of unknown kinds are passed over. Raises MimctlError[bad-index] for a page that is neither kind, for a wheel's
    name that leaves its folder, a hash that is none, an address that leads from the network into this machine's
    files; [index-version] where it is written in a newer version of the interface.
    """
    reader = _Reader(project, url, address)
    if _is_no_page(content_type):
        raise bad_page(reader.shown, f"its content type is {content_type[:100]!r}")
    with bulk():
        if _is_json(body, content_type):
            _read_json(reader, body)
        else:
            _read_html(reader, _text(body, content_type))
        return reader.page()


def parse_links(body: bytes, *, project: str, url: str, address: str, content_type: str = "") -> Page:
    """Return the wheels of `project` that a page of links (`--find-links`) leads to; all else in it is passed over."""
    reader = _Reader(project, url, address, is_strict=False)
    with bulk():
        _read_html(reader, _text(body, content_type))
        return reader.page()


def parse_names(filenames: Iterable[str], *, project: str, address: str, join: Callable[[str], str]) -> Page:
    """Return the wheels of `project` among the names of files in a folder; `join` makes a name an address."""
    reader = _Reader(project, "", address, is_strict=False)
    for filename in filenames:
        if filename.endswith((".whl", *SDIST_ENDINGS)):
            reader.take(join(filename), filename, sha256=None)
    return reader.page()


def bad_page(shown: str, cause: str) -> MimctlError:
    """Return the error for a page of a package index that cannot be used; `shown` is its address without secrets."""
    return MimctlError(
        f"`{shown}` is not a usable page of a package index",
        code="bad-index",
        causes=[cause],
        hints=["check the address of the index", "or leave that index out of the configuration"],
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What an anchor or an entry says of a file besides its address and hashes."""

    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False


_NOTHING = _Said()
_Row = tuple[str, str, str | None, int | None, str, tuple[str, ...], _Said, str | bool]


class _Reader:
    """Collects the files of one page."""

    def __init__(self, project: str, url: str, address: str, *, is_strict: bool = True) -> None:
        self.url = url
        self.base = url
        self._project = project
        self._address = address
        self._is_strict = is_strict
        self._is_remote = url.startswith(("http://", "https://"))
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
        facts: _Said | None = None,
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

    def _take_source(self, href: str, filename: str, sha256: str | None, facts: _Said) -> None:
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
        if self._is_remote and not found.startswith(("http://", "https://")):
            raise bad_page(self.shown, f"it leads to `{found[:200]}`, which is neither relative nor an http address")
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


def _is_no_page(content_type: str) -> bool:
    """Return whether a server says of a document that it is no text: a picture, an archive."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith(("image/", "audio/", "video/", "font/")) or kind.endswith(("/zip", "/pdf", "/gzip"))


def _is_json(body: bytes, content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        return True
    return "html" not in kind and body[:200].lstrip()[:1] == b"{"


def _text(body: bytes, content_type: str) -> str:
    found = _CHARSET.search(content_type)
    try:
        return body.decode(found[1] if found else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _read_html(reader: _Reader, text: str) -> None:
    head, *anchors = _ANCHOR.split(_without_comments(text))
    head = head[:_HEAD]
    for meta in _META.finditer(head):
        named = _attributes(meta[1])
        if named.get("name", "").lower() == "pypi:repository-version":
            _check_version(reader, named.get("content", ""))
    base = _BASE.search(head)
    if base is not None and _attributes(base[1]).get("href"):
        reader.base = urljoin(reader.url, _attributes(base[1])["href"])
    said = lru_cache(maxsize=4096)(_said)  # but for the hashes, anchors say few different things
    for segment in anchors:
        quick = _USUAL.match(segment)
        if quick is not None:
            href, sha256, metadata, more = quick.groups()
            behind = None
            if _SHA256 in more:
                first, *others = more.split(_SHA256)
                more, behind = _SHA256.join((first, *(each[64:] for each in others))), others[0][:64]
            facts = said(more)
            metadata = metadata or (facts.has_metadata and (behind or True))
            reader.take(href, None, sha256=sha256, metadata=metadata, facts=facts)
            continue
        tag = _TAG.match(segment)
        if tag is not None:
            _take_anchor(reader, tag[0])


def _said(tag: str) -> _Said:
    attributes = _attributes(tag)
    metadata = attributes.get("data-core-metadata") or attributes.get("data-dist-info-metadata")
    yanked = attributes.get("data-yanked")
    if yanked is None and _BARE.search(tag):
        yanked = ""
    return _Said(
        requires_python=attributes.get("data-requires-python") or None,
        yanked=None if yanked is None else yanked or "no reason given",
        has_metadata=metadata is not None,
    )


def _take_anchor(reader: _Reader, tag: str) -> None:
    attributes = _attributes(tag)
    href, _, fragment = attributes.get("href", "").strip().partition("#")
    metadata = attributes.get("data-core-metadata") or attributes.get("data-dist-info-metadata") or ""
    said = _said(tag)
    sha256 = next((word[7:] for word in fragment.split("&") if word.startswith(_SHA256)), None)
    reader.take(href, None, sha256=sha256, metadata=metadata.partition(_SHA256)[2] or said.has_metadata, facts=said)


def _attributes(tag: str) -> dict[str, str]:
    """Return the attributes of a tag by lower-case name, quotes and character references resolved."""
    return {name.lower(): _plain(value) for name, value in reversed(_ATTRIBUTE.findall(tag))}


def _plain(value: str) -> str:
    value = value[1:-1] if value[0] in "\"'" else value
    return html.unescape(value) if "&" in value else value


def _without_comments(text: str) -> str:
    if "<!--" not in text:
        return text
    first, *rest = text.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)


def _read_json(reader: _Reader, body: bytes) -> None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise bad_page(reader.shown, f"it is not JSON: {err}") from err
    meta = data.get("meta") if isinstance(data, dict) else None
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(meta, dict) or not isinstance(files, list):
        raise bad_page(reader.shown, "it lacks `meta` or `files` (PEP 691)")
    _check_version(reader, str(meta.get("api-version", "")))
    for each in files:
        if not isinstance(each, dict):
            raise bad_page(reader.shown, "an entry of `files` is not a JSON object")
        _take_entry(reader, each)


def _take_entry(reader: _Reader, entry: Mapping[str, Any]) -> None:
    filename, url, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(filename, str) or not isinstance(url, str) or not isinstance(hashes, dict):
        raise bad_page(reader.shown, "an entry of `files` lacks `filename`, `url` or `hashes`")
    size, python, sha256 = entry.get("size"), entry.get("requires-python"), hashes.get("sha256")
    metadata: object = entry.get("core-metadata")
    if metadata is None:
        metadata = entry.get("dist-info-metadata")
    if isinstance(metadata, dict):
        metadata = metadata.get("sha256") or True
    yanked = entry.get("yanked")
    reader.take(
        url.partition("#")[0],
        filename,
        sha256=sha256 if isinstance(sha256, str) else None,
        metadata=metadata if isinstance(metadata, str) else metadata is True,
        size=size if isinstance(size, int) and size >= 0 else None,
        facts=_Said(
            requires_python=python if isinstance(python, str) and python else None,
            yanked=(yanked or None) if isinstance(yanked, str) else "no reason given" if yanked else None,
        )
        if python or yanked
        else None,
    )


def _check_version(reader: _Reader, version: str) -> None:
    major = version.partition(".")[0]
    if major == _API_MAJOR:
        return
    if not major.isdigit():
        raise bad_page(reader.shown, "it does not say which version of the interface it is written in")
    raise MimctlError(
        f"`{reader.shown}` is written in version {version[:20]} of the simple repository interface",
        code="index-version",
        causes=[f"this mimctl reads version {_API_MAJOR} (PEP 629)"],
        hints=["upgrade mimctl", "or name another index"],
    )
