"""Anchors of a page in HTML (PEP 503, 592, 658, 714), read in one pass that no page can make longer than it is."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from urllib.parse import urljoin

from mimctl.index.collector import Collector, Said, check_version

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
_HEAD = 1 << 16
"""Characters of a page in which its version and its base are looked for."""


def read_html(reader: Collector, text: str) -> None:
    """Collect the files that a page leads to; errors as `pages.parse_page`."""
    head, *anchors = _ANCHOR.split(_without_comments(text))
    head = head[:_HEAD]
    for meta in _META.finditer(head):
        named = _attributes(meta[1])
        if named.get("name", "").lower() == "pypi:repository-version":
            check_version(reader, named.get("content", ""))
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


def _said(tag: str) -> Said:
    attributes = _attributes(tag)
    metadata = attributes.get("data-core-metadata") or attributes.get("data-dist-info-metadata")
    yanked = attributes.get("data-yanked")
    if yanked is None and _BARE.search(tag):
        yanked = ""
    return Said(
        requires_python=attributes.get("data-requires-python") or None,
        yanked=None if yanked is None else yanked or "no reason given",
        has_metadata=metadata is not None,
    )


def _take_anchor(reader: Collector, tag: str) -> None:
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
