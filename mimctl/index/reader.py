"""Fetch the pages of package indexes and of links: cached with their ETags, fresh as long as the server says."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from mimctl.errors import MimctlError
from mimctl.index.cache import DocumentCache, Kept
from mimctl.index.client import not_cached
from mimctl.index.collector import Page
from mimctl.index.filenames import normalise
from mimctl.index.lines import Lines
from mimctl.index.pages import ACCEPT, parse_links, parse_names, parse_page
from mimctl.transfer import TransferSettings, get_bytes, is_remote, local_path

_LONGEST_FRESH_S = 600.0
"""Whatever a server says, a page is asked for again after that time."""
_MAX_SIZE = 128 << 20
"""Bytes of a page: 100,000 files take 40 MB."""


class PageReader:
    """Reads pages for one command; each is asked for once in its life, by whichever thread comes first."""

    def __init__(
        self,
        transfer: TransferSettings,
        cache_dir: Path,
        *,
        hidden_as_missing: str = "",
        lines: Lines | None = None,
    ) -> None:
        """`hidden_as_missing` is the beginning of addresses where 403 means that there is no such page."""
        self._transfer = transfer
        self._cache = DocumentCache(cache_dir / "pages")
        self._hidden_as_missing = hidden_as_missing
        self._kept: dict[str, Kept] = {}
        self._folders: dict[str, Mapping[str, list[str]]] = {}
        self._pages: dict[tuple[str, str], Page | None] = {}
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._lines = lines or Lines(transfer)
        self._num_unasked = 0
        self._is_impatient = False

    def project(self, root: str, name: str) -> Page | None:
        """Return what the index whose pages lie below `root` has of a project (normalised), None where it has none.

        Raises what `transfer.get_bytes` and `parse_page` do: an index that does not answer has not said no.
        """
        key = (root, name)
        with self._lock_of(f"{root} {name}"):
            if key not in self._pages:
                self._pages[key] = self._read_project(root.rstrip("/"), name)
            return self._pages[key]

    def links(self, address: str, name: str) -> Page:
        """Return the wheels of a project in a folder, or on a page of links (`--find-links`).

        A folder or a page that is not there holds none, as pip has it.
        """
        if not is_remote(address):
            place = local_path(_expanded(address))
            if place.is_dir():
                return self._in_folder(place, name)
            if place.name.endswith(".whl"):
                found = [place.name] if place.is_file() else []
                return parse_names(found, project=name, address=str(place.parent), join=lambda each: str(place))
        kept = self._fetch(address, accept="text/html")
        if kept.body is None:
            return Page()
        return parse_links(
            kept.body, project=name, url=kept.url or address, address=address, content_type=kept.content_type
        )

    def forget(self) -> bool:
        """Forget what was answered from pages that were not asked for anew; return whether there was any."""
        with self._guard:
            if self._transfer.offline or not self._num_unasked:
                return False
            self._num_unasked = 0
            self._is_impatient = True
            self._pages.clear()
            self._kept.clear()
            return True

    def _read_project(self, root: str, name: str) -> Page | None:
        address = f"{root}/{quote(name)}/"
        if is_remote(root):
            kept = self._fetch(address, accept=ACCEPT)
        else:
            folder = local_path(_expanded(root)) / name
            page = next((each for each in (folder / "index.html", folder / "index.json") if each.is_file()), None)
            if page is None:
                return self._in_folder(folder, name) if folder.is_dir() else None
            kept = Kept(body=page.read_bytes(), etag=None, url=page.absolute().as_uri())
        if kept.body is None:
            return None
        return parse_page(
            kept.body, project=name, url=kept.url or address, address=root, content_type=kept.content_type
        )

    def _in_folder(self, folder: Path, name: str) -> Page:
        """Return the wheels of a project that lie in a folder, whose names are read once."""
        key = str(folder)
        with self._lock_of(key):
            if key not in self._folders:
                self._folders[key] = _by_project(folder)
        absolute = folder.absolute()
        return parse_names(
            self._folders[key].get(name, ()), project=name, address=key, join=lambda each: str(absolute / each)
        )

    def _fetch(self, url: str, *, accept: str) -> Kept:
        with self._lock_of(url):
            if url not in self._kept:
                self._kept[url] = self._fetch_anew(url, accept)
            return self._kept[url]

    def _fetch_anew(self, url: str, accept: str) -> Kept:
        known = self._cache.read(url) if is_remote(url) else None
        is_fresh = known is not None and known.fresh_until > time.time() and not self._is_impatient
        if known is not None and (self._transfer.offline or is_fresh):
            self._num_unasked += 1
            return known
        if is_remote(url) and self._transfer.offline:
            raise not_cached(url)
        try:
            with self._lines.lend() as opened:
                answer = get_bytes(
                    url,
                    etag=known.etag if known else None,
                    settings=self._transfer,
                    headers={"Accept": accept},
                    is_missing_ok=True,
                    max_size=_MAX_SIZE,
                    may_be_packed=True,
                    opened=opened,
                )
        except MimctlError as err:
            if err.details.get("status") != 403 or not self._is_hiding(url):
                raise
            found = Kept(body=None, etag=None)
        else:
            fresh_until = time.time() + fresh if (fresh := _fresh_s(answer.cache_control)) else 0.0
            if answer.status == 304 and known is not None:
                found = Kept(
                    body=known.body,
                    etag=known.etag,
                    url=known.url,
                    content_type=known.content_type,
                    fresh_until=fresh_until,
                )
            elif answer.status == 404:
                found = Kept(body=None, etag=None)
            else:
                found = Kept(
                    body=answer.body,
                    etag=answer.etag,
                    url=answer.url,
                    content_type=answer.content_type,
                    fresh_until=fresh_until,
                )
        if is_remote(url):
            self._cache.write(url, found)
        return found

    def _is_hiding(self, url: str) -> bool:
        return bool(self._hidden_as_missing) and url.startswith(self._hidden_as_missing)

    def _lock_of(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())


def _fresh_s(cache_control: str) -> float:
    """Return for how many seconds a server says that a page holds (RFC 9111), 0 where it does not say."""
    said = [word.strip().lower() for word in cache_control.split(",")]
    if "no-cache" in said or "no-store" in said:
        return 0.0
    ages = [word[8:] for word in said if word.startswith("max-age=") and word[8:].isdecimal()]
    return min(float(ages[0][:9]), _LONGEST_FRESH_S) if ages else 0.0


def _by_project(folder: Path) -> dict[str, list[str]]:
    """Return the names of files in a folder by project; a name of a source distribution may stand for several."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return {}
    for name in names:
        words = name.split("-")
        ends = (1,) if name.endswith(".whl") else range(1, len(words))
        for at in ends:
            found.setdefault(normalise("-".join(words[:at])), []).append(name)
    return found


def _expanded(address: str) -> str:
    return str(Path(address).expanduser()) if address.startswith("~") else address
