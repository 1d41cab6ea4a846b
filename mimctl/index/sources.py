"""Where packages that are not ours come from: what pip and uv are configured with, and what the command line adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mimctl.errors import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSources:
    """Places in order of priority, and how they are reached; `origins` says for each key where its values come from.

    Addresses may hold passwords: whoever shows one redacts it.
    """

    index_url: str | None = None
    """None where pip has no index at all (`--no-index`)."""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    """Folders, wheels and pages of links."""
    cert: Path | None = None
    client_cert: Path | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = None
    timeout_s: float | None = None
    constraints: tuple[str, ...] = ()
    """Files of constraints that hold for every installation."""
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Return the indexes in order: extra ones first, so that a private one's names are never taken from the
        public one behind it."""
        last = (self.index_url,) if self.index_url else ()
        return tuple(dict.fromkeys((*self.extra_index_urls, *last)))
