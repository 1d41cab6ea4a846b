"""Project pages of package indexes (PEP 503 HTML, PEP 691 JSON) and pages of links, read into files; pure.

An index of a hundred thousand files is read in about a second, and what a page says costs time in proportion to its
length, whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from mimctl.index.bulk import bulk
from mimctl.index.collector import Collector, Page, bad_page
from mimctl.index.filenames import SDIST_ENDINGS
from mimctl.index.html_page import read_html
from mimctl.index.json_page import read_json

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
"""What a project page is asked for as."""
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9_.:-]+)", re.IGNORECASE)


def parse_page(body: bytes, *, project: str, url: str, address: str, content_type: str = "") -> Page:
    """Return what a project page says of `project` (normalised).

    `url` is the page's own address, from which relative links count, `address` the index's. Files of other projects
    and of unknown kinds are passed over. Raises MimctlError[bad-index] for a page that is neither kind, for a wheel's
    name that leaves its folder, a hash that is none, an address that leads from the network into this machine's
    files; [index-version] where it is written in a newer version of the interface.
    """
    reader = Collector(project, url, address)
    if _is_no_page(content_type):
        raise bad_page(reader.shown, f"its content type is {content_type[:100]!r}")
    with bulk():
        if _is_json(body, content_type):
            read_json(reader, body)
        else:
            read_html(reader, _text(body, content_type))
        return reader.page()


def parse_links(body: bytes, *, project: str, url: str, address: str, content_type: str = "") -> Page:
    """Return the wheels of `project` that a page of links (`--find-links`) leads to; all else in it is passed over."""
    reader = Collector(project, url, address, is_strict=False)
    with bulk():
        read_html(reader, _text(body, content_type))
        return reader.page()


def parse_names(filenames: Iterable[str], *, project: str, address: str, join: Callable[[str], str]) -> Page:
    """Return the wheels of `project` among the names of files in a folder; `join` makes a name an address."""
    reader = Collector(project, "", address, is_strict=False)
    for filename in filenames:
        if filename.endswith((".whl", *SDIST_ENDINGS)):
            reader.take(join(filename), filename, sha256=None)
    return reader.page()


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
