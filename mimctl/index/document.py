"""Read `index.json` and `toolboxes.json`, and refuse what is not as documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from mimctl.errors import MimctlError
from mimctl.index.filenames import is_safe
from mimctl.index.model import Build, IndexFile, Toolbox, TorchVersions
from mimctl.transfer import is_remote, redact

SCHEMA_VERSION = 1

T = TypeVar("T")


def parse_index(data: object, *, address: str) -> tuple[tuple[IndexFile, ...], TorchVersions]:
    """Return the files of one `index.json` as they stand there, and what it says of torch.

    Raises MimctlError[bad-index] where it is not as documented, [index-version] where its schema is another one.
    """
    top = _top(data, address)
    return tuple(_file(each, address) for each in _take(top, "files", list, address)), parse_torch(
        data, address=address
    )


def parse_projects(data: object, *, address: str) -> dict[str, Callable[[], tuple[IndexFile, ...]]]:
    """Return for each project of an `index.json` what reads its files, with whole addresses below `address`.

    Errors as `parse_index`; those of an entry are raised when its project is read.
    """
    shown = redact(address)
    groups: dict[str, list[object]] = {}
    for each in _take(_top(data, shown), "files", list, shown):
        project = each.get("project") if isinstance(each, dict) else None
        if not isinstance(project, str):
            raise bad_index(shown, "an entry of `files` is not a JSON object with a `project`")
        groups.setdefault(project, []).append(each)
    return {name: partial(_located_files, entries, address, shown) for name, entries in groups.items()}


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


def _check_schema(top: Mapping[str, Any], address: str) -> None:
    found = top.get("schema_version")
    if found == SCHEMA_VERSION:
        return
    if not isinstance(found, int):
        raise bad_index(address, "it has no `schema_version`")
    raise MimctlError(
        f"`{address}` is written in schema {found}, this mimctl reads schema {SCHEMA_VERSION}",
        code="index-version",
        causes=[f"written by {top.get('generator', 'an unknown generator')}"],
        hints=["upgrade mimctl" if found > SCHEMA_VERSION else "build the index again with a newer mimctl"],
    )


def _top(data: object, address: str) -> Mapping[str, Any]:
    top = _object(data, "the document", address)
    _check_schema(top, address)
    return top


def _located_files(entries: list[object], address: str, shown: str) -> tuple[IndexFile, ...]:
    return tuple(_file(each, shown, root=address) for each in entries)


def _file(raw: object, address: str, *, root: str = "") -> IndexFile:
    """Return an entry; with `root` its address is whole."""
    entry = _object(raw, "an entry of `files`", address)
    filename = _take(entry, "filename", str, address)
    if not filename.endswith(".whl") or not is_safe(filename):
        raise bad_index(address, f"{filename[:200]!r} is not the name of a wheel")
    url = _take(entry, "url", str, address)
    build = entry.get("build")
    return IndexFile(
        project=_take(entry, "project", str, address),
        filename=filename,
        url=_located(url, root) if root else url,
        sha256=_sha256(entry, "sha256", filename, address),
        size=_optional(entry, "size", int, address),
        version=_take(entry, "version", str, address),
        tags=_texts(entry, "tags", address),
        requires_python=_optional(entry, "requires_python", str, address),
        requires_dist=_texts(entry, "requires_dist", address),
        provides_extra=_texts(entry, "provides_extra", address),
        is_described=True,
        yanked=_yanked(entry.get("yanked")),
        build=None if build is None else _build(_object(build, f"`build` of {filename}", address), address),
        address=root or address,
        has_metadata=entry.get("metadata_sha256") is not None,
        metadata_sha256=_sha256(entry, "metadata_sha256", filename, address) if entry.get("metadata_sha256") else None,
    )


def _sha256(entry: Mapping[str, Any], key: str, filename: str, address: str) -> str:
    digits = _take(entry, key, str, address).lower()
    if len(digits) != 64 or digits.strip("0123456789abcdef"):
        raise bad_index(address, f"`{filename}` has no valid {key}")
    return digits


def _located(url: str, address: str) -> str:
    """Return a whole address; refuse an index on the network that points into this machine's files."""
    if "://" not in url:
        if Path(url).is_absolute() or ".." in unquote(url).split("/"):
            raise bad_index(redact(address), f"`{url}` leaves the index")
        return f"{address}/{url if '://' in address else unquote(url)}"
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
    values = entry.get(key) or []
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise bad_index(address, f"`{key}` is not a list of texts")
    return tuple(values)


_KIND_WORDS: Mapping[type, str] = {str: "text", int: "number", list: "list", dict: "JSON object"}
