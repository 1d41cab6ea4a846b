"""Entries of `index.json`: one wheel each, as documented or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from mimctl.index.bulk import bulk
from mimctl.index.fields import as_object, bad_index, optional, parse_json, take, texts
from mimctl.index.filenames import is_safe, normalise
from mimctl.index.model import Build, IndexFile
from mimctl.transfer import is_remote, redact


def parse_build(body: bytes, shown: str) -> Build:
    """Return what the `build.json` in a wheel says; raise MimctlError[bad-index] where it is not as documented."""
    return _build(as_object(parse_json(body, shown), "its build.json", shown), shown)


def located_files(entries: Sequence[object], address: str, shown: str) -> tuple[IndexFile, ...]:
    builds = Builds(shown)
    with bulk():
        return tuple(read_file(each, shown, builds, root=address) for each in entries)


class Builds:
    """Reads the builds and the lists of one document: of a hundred thousand wheels there are few of either."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._builds: dict[str, Build] = {}
        self._lists: dict[tuple[str, ...], tuple[str, ...]] = {}

    def build(self, raw: object, filename: str) -> Build | None:
        if raw is None:
            return None
        key = repr(raw)
        if key not in self._builds:
            self._builds[key] = _build(as_object(raw, f"`build` of {filename}", self._address), self._address)
        return self._builds[key]

    def texts(self, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
        found = texts(entry, key, self._address)
        return self._lists.setdefault(found, found)


def read_file(raw: object, address: str, builds: Builds, *, root: str = "") -> IndexFile:
    """Return an entry; with `root` its address is whole."""
    entry = as_object(raw, "an entry of `files`", address)
    filename = take(entry, "filename", str, address)
    if not filename.endswith(".whl") or not is_safe(filename):
        raise bad_index(address, f"{filename[:200]!r} is not the name of a wheel")
    project, version = take(entry, "project", str, address), take(entry, "version", str, address)
    _check_name(filename, project, version, address)
    url = take(entry, "url", str, address)
    has_metadata = entry.get("metadata_sha256") is not None
    return IndexFile(
        project=project,
        filename=filename,
        url=_located(url, root) if root else url,
        sha256=_sha256(entry, "sha256", filename, address),
        size=_size(entry, filename, address),
        version=version,
        tags=builds.texts(entry, "tags"),
        requires_python=optional(entry, "requires_python", str, address),
        requires_dist=builds.texts(entry, "requires_dist"),
        provides_extra=builds.texts(entry, "provides_extra"),
        is_described=True,
        yanked=_yanked(entry.get("yanked")),
        build=builds.build(entry.get("build"), filename),
        address=root or address,
        has_metadata=has_metadata,
        metadata_sha256=_sha256(entry, "metadata_sha256", filename, address) if has_metadata else None,
    )


def _check_name(filename: str, project: str, version: str, address: str) -> None:
    """Refuse a wheel that is listed as another project or version than its name tells."""
    name, _, rest = filename.partition("-")
    said = rest.partition("-")[0]
    if normalise(name) != project or (said != version and not _is_same_version(said, version)):
        raise bad_index(address, f"`{filename}` is listed as {project[:100]!r} {version[:100]!r}")


def _is_same_version(first: str, second: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return False


def _size(entry: Mapping[str, Any], filename: str, address: str) -> int | None:
    size = optional(entry, "size", int, address)
    if size is not None and (size < 0 or isinstance(size, bool)):
        raise bad_index(address, f"`{filename}` has the size {size}")
    return size


def _sha256(entry: Mapping[str, Any], key: str, filename: str, address: str) -> str:
    digits = take(entry, key, str, address).lower()
    if len(digits) != 64 or digits.strip("0123456789abcdef"):
        raise bad_index(address, f"`{filename}` has no valid {key}")
    return digits


def _located(url: str, address: str) -> str:
    """Return a whole address; refuse an index on the network that points into this machine's files."""
    if "://" not in url:
        plain = unquote(url) if "%" in url else url
        if url.startswith(("/", "\\")) or (".." in plain and ".." in plain.split("/")):
            raise bad_index(redact(address), f"`{url}` leaves the index")
        return f"{address}/{url if '://' in address else plain}"
    if not is_remote(url):
        raise bad_index(redact(address), f"`{redact(url)}` is neither relative nor an http address")
    return url


def _build(entry: Mapping[str, Any], address: str) -> Build:
    return Build(
        backend=take(entry, "backend", str, address),
        min_torch=optional(entry, "min_torch", str, address),
        max_torch=optional(entry, "max_torch", str, address),
        min_driver=optional(entry, "min_driver", str, address),
        archs=texts(entry, "archs", address),
        ptx=texts(entry, "ptx", address),
        ops=texts(entry, "ops", address),
        toolkit=optional(entry, "toolkit", str, address),
    )


def _yanked(raw: object) -> str | None:
    if isinstance(raw, str):
        return raw or "no reason given"
    return "no reason given" if raw is True else None
