"""Read `index.json` and `toolboxes.json`, and refuse what is not as documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

from mimctl.errors import MimctlError
from mimctl.index.bulk import bulk
from mimctl.index.filenames import is_safe, normalise
from mimctl.index.model import Build, IndexFile, Toolbox, TorchVersions
from mimctl.transfer import is_remote, redact

SCHEMA_VERSION = 1

_FILES = b'"files": [\n'
_END = b"\n]}"
_PROJECT = re.compile(rb'"project": "([^"\\]+)"')
T = TypeVar("T")


def parse_index(data: object, *, address: str) -> tuple[tuple[IndexFile, ...], TorchVersions]:
    """Return the files of one `index.json` as they stand there, and what it says of torch.

    Raises MimctlError[bad-index] where it is not as documented, [index-version] where its schema is another one.
    """
    builds = _Builds(address)
    files = tuple(_file(each, address, builds) for each in _take(_top(data, address), "files", list, address))
    return files, parse_torch(data, address=address)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDocument:
    """An `index.json` of which only the asked projects are looked at closely."""

    top: Mapping[str, Any]
    """The document without its files."""
    projects: Mapping[str, Callable[[], tuple[IndexFile, ...]]]
    """Project → what reads its files, with whole addresses; an entry that is not as documented is refused then."""
    num_files: int


def read_document(body: bytes, *, address: str) -> IndexDocument:
    """Return an `index.json`; `address` is where its index is.

    Written one entry a line, as `mimctl index build` does, a hundred thousand are grouped in a third of a second.
    Raises MimctlError[bad-index] where it is not JSON, or has no `files` where it has our schema.
    """
    shown = redact(address)
    by_lines = _by_lines(body)
    if by_lines is not None:
        top, lines = by_lines
        return IndexDocument(
            top=top,
            projects={name: partial(_from_lines, each, name, address, shown) for name, each in lines.items()},
            num_files=sum(map(len, lines.values())),
        )
    with bulk():
        data = parse_json(body, shown)
    if not isinstance(data, dict) or "schema_version" not in data:
        return IndexDocument(top=_object(data, "the document", shown), projects={}, num_files=0)
    check_schema(data, shown)
    groups: dict[str, list[object]] = {}
    for each in _take(data, "files", list, shown):
        project = each.get("project") if isinstance(each, dict) else None
        if not isinstance(project, str):
            raise bad_index(shown, "an entry of `files` is not a JSON object with a `project`")
        groups.setdefault(project, []).append(each)
    return IndexDocument(
        top={key: value for key, value in data.items() if key != "files"},
        projects={name: partial(_located_files, entries, address, shown) for name, entries in groups.items()},
        num_files=len(data["files"]),
    )


def _by_lines(body: bytes) -> tuple[dict[str, Any], dict[str, list[bytes]]] | None:
    """Return a document without its files, and the lines of these by project; None where it is written otherwise."""
    text = body.rstrip()
    start, end = text.find(_FILES), len(text) - len(_END)
    if start < 0 or end <= start or not text.endswith(_END):
        return None
    try:
        top = json.loads(text[:start] + b'"files": []}')
    except (ValueError, RecursionError):
        return None
    if not isinstance(top, dict) or top.pop("files", None) != [] or top.get("schema_version") != SCHEMA_VERSION:
        return None
    groups: dict[str, list[bytes]] = {}
    for line in text[start + len(_FILES) : end].split(b",\n"):
        found = _PROJECT.search(line)
        if found is None or line[:1] != b"{" or line[-1:] != b"}" or not found[1].isascii():
            return None
        groups.setdefault(found[1].decode("ascii"), []).append(line)
    return top, groups


def _from_lines(lines: list[bytes], project: str, address: str, shown: str) -> tuple[IndexFile, ...]:
    with bulk():
        entries = parse_json(b"[" + b",".join(lines) + b"]", shown)
        files = _located_files(entries, address, shown)
    if any(file.project != project for file in files):
        raise bad_index(shown, f"an entry of `files` says twice which project it is of (`{project}`)")
    return files


def parse_build(body: bytes, shown: str) -> Build:
    """Return what the `build.json` in a wheel says; raise MimctlError[bad-index] where it is not as documented."""
    return _build(_object(parse_json(body, shown), "its build.json", shown), shown)


def parse_json(body: bytes, shown: str) -> Any:
    """Return a JSON document; raise MimctlError[bad-index] where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as err:
        raise bad_index(shown, f"it is not JSON: {err}") from err


def parse_torch(data: object, *, address: str) -> TorchVersions:
    """Return what an `index.json` says of torch (errors as `parse_index`)."""
    torch = _top(data, address).get("torch")
    said = {key: value for key, value in torch.items() if isinstance(value, str)} if isinstance(torch, dict) else {}
    return TorchVersions(verified=said.get("verified"), default=said.get("default"))


def parse_toolboxes(data: object, *, address: str) -> dict[str, Toolbox]:
    """Return the toolboxes of one `toolboxes.json` by name (errors as `parse_index`)."""
    top = _top(data, address)
    found = {}
    for name, raw in _take(top, "toolboxes", dict, address).items():
        entry = _object(raw, f"toolbox `{name}`", address)
        found[name] = Toolbox(
            name=name,
            distribution=_take(entry, "distribution", str, address),
            aliases=_texts(entry, "aliases", address),
            scopes=_texts(entry, "scopes", address),
            summary=_optional(entry, "summary", str, address) or "",
        )
    return found


def bad_index(address: str, cause: str) -> MimctlError:
    """Return the error for an index that does not hold what an index holds."""
    return MimctlError(
        f"`{address}` is not a usable mimctl index",
        code="bad-index",
        causes=[cause],
        hints=["build it again: `mimctl index build --wheels DIR --out DIR`", "or name another: `--index ADDRESS`"],
    )


def check_schema(top: Mapping[str, Any], address: str) -> None:
    """Raise MimctlError[index-version] where a document is of another schema, [bad-index] where it has none."""
    found = top.get("schema_version")
    if not isinstance(found, int) or isinstance(found, bool):
        raise bad_index(address, "it has no `schema_version`")
    if found == SCHEMA_VERSION:
        return
    raise MimctlError(
        f"`{address}` is written in schema {found}, this mimctl reads schema {SCHEMA_VERSION}",
        code="index-version",
        causes=[f"written by {top.get('generator', 'an unknown generator')}"],
        hints=["upgrade mimctl" if found > SCHEMA_VERSION else "build the index again with a newer mimctl"],
    )


def _top(data: object, address: str) -> Mapping[str, Any]:
    top = _object(data, "the document", address)
    check_schema(top, address)
    return top


def _located_files(entries: Sequence[object], address: str, shown: str) -> tuple[IndexFile, ...]:
    builds = _Builds(shown)
    with bulk():
        return tuple(_file(each, shown, builds, root=address) for each in entries)


class _Builds:
    """Reads the builds and the lists of one document: of a hundred thousand wheels there are few of either."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._builds: dict[str, Build] = {}
        self._texts: dict[tuple[str, ...], tuple[str, ...]] = {}

    def build(self, raw: object, filename: str) -> Build | None:
        if raw is None:
            return None
        key = repr(raw)
        if key not in self._builds:
            self._builds[key] = _build(_object(raw, f"`build` of {filename}", self._address), self._address)
        return self._builds[key]

    def texts(self, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
        found = _texts(entry, key, self._address)
        return self._texts.setdefault(found, found)


def _file(raw: object, address: str, builds: _Builds, *, root: str = "") -> IndexFile:
    """Return an entry; with `root` its address is whole."""
    entry = _object(raw, "an entry of `files`", address)
    filename = _take(entry, "filename", str, address)
    if not filename.endswith(".whl") or not is_safe(filename):
        raise bad_index(address, f"{filename[:200]!r} is not the name of a wheel")
    project, version = _take(entry, "project", str, address), _take(entry, "version", str, address)
    _check_name(filename, project, version, address)
    url = _take(entry, "url", str, address)
    has_metadata = entry.get("metadata_sha256") is not None
    return IndexFile(
        project=project,
        filename=filename,
        url=_located(url, root) if root else url,
        sha256=_sha256(entry, "sha256", filename, address),
        size=_size(entry, filename, address),
        version=version,
        tags=builds.texts(entry, "tags"),
        requires_python=_optional(entry, "requires_python", str, address),
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
    size = _optional(entry, "size", int, address)
    if size is not None and (size < 0 or isinstance(size, bool)):
        raise bad_index(address, f"`{filename}` has the size {size}")
    return size


def _sha256(entry: Mapping[str, Any], key: str, filename: str, address: str) -> str:
    digits = _take(entry, key, str, address).lower()
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
        backend=_take(entry, "backend", str, address),
        min_torch=_optional(entry, "min_torch", str, address),
        max_torch=_optional(entry, "max_torch", str, address),
        min_driver=_optional(entry, "min_driver", str, address),
        archs=_texts(entry, "archs", address),
        ptx=_texts(entry, "ptx", address),
        ops=_texts(entry, "ops", address),
        toolkit=_optional(entry, "toolkit", str, address),
    )


def _yanked(raw: object) -> str | None:
    if isinstance(raw, str):
        return raw or "no reason given"
    return "no reason given" if raw is True else None


def _object(raw: object, what: str, address: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise bad_index(address, f"{what} is not a JSON object")
    return raw


def _take(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T:
    value = entry.get(key)
    if not isinstance(value, kind):
        raise bad_index(address, f"`{key}` is missing or no {_KIND_WORDS[kind]}")
    return value


def _optional(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T | None:
    return None if entry.get(key) is None else _take(entry, key, kind, address)


def _texts(entry: Mapping[str, Any], key: str, address: str) -> tuple[str, ...]:
    values = entry.get(key)
    if not values:
        return ()
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise bad_index(address, f"`{key}` is not a list of texts")
    return tuple(values)


_KIND_WORDS: Mapping[type, str] = {str: "text", int: "number", list: "list", dict: "JSON object"}
