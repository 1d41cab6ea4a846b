"""Read `index.json` and `toolboxes.json`, and refuse what is not as documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mimctl.errors import MimctlError
from mimctl.index.bulk import bulk
from mimctl.index.entries import Builds, located_files, read_file
from mimctl.index.fields import as_object, bad_index, optional, parse_json, take, texts
from mimctl.index.model import IndexFile, Toolbox, TorchVersions
from mimctl.transfer import redact

SCHEMA_VERSION = 1

_FILES = b'"files": [\n'
_END = b"\n]}"
_PROJECT = re.compile(rb'"project": "([^"\\]+)"')


def parse_index(data: object, *, address: str) -> tuple[tuple[IndexFile, ...], TorchVersions]:
    """Return the files of one `index.json` as they stand there, and what it says of torch.

    Raises MimctlError[bad-index] where it is not as documented, [index-version] where its schema is another one.
    """
    builds = Builds(address)
    files = tuple(read_file(each, address, builds) for each in take(_top(data, address), "files", list, address))
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
        return IndexDocument(top=as_object(data, "the document", shown), projects={}, num_files=0)
    check_schema(data, shown)
    groups: dict[str, list[object]] = {}
    for each in take(data, "files", list, shown):
        project = each.get("project") if isinstance(each, dict) else None
        if not isinstance(project, str):
            raise bad_index(shown, "an entry of `files` is not a JSON object with a `project`")
        groups.setdefault(project, []).append(each)
    return IndexDocument(
        top={key: value for key, value in data.items() if key != "files"},
        projects={name: partial(located_files, entries, address, shown) for name, entries in groups.items()},
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
        files = located_files(entries, address, shown)
    if any(file.project != project for file in files):
        raise bad_index(shown, f"an entry of `files` says twice which project it is of (`{project}`)")
    return files


def parse_torch(data: object, *, address: str) -> TorchVersions:
    """Return what an `index.json` says of torch (errors as `parse_index`)."""
    torch = _top(data, address).get("torch")
    said = {key: value for key, value in torch.items() if isinstance(value, str)} if isinstance(torch, dict) else {}
    return TorchVersions(verified=said.get("verified"), default=said.get("default"))


def parse_toolboxes(data: object, *, address: str) -> dict[str, Toolbox]:
    """Return the toolboxes of one `toolboxes.json` by name (errors as `parse_index`)."""
    top = _top(data, address)
    found = {}
    for name, raw in take(top, "toolboxes", dict, address).items():
        entry = as_object(raw, f"toolbox `{name}`", address)
        found[name] = Toolbox(
            name=name,
            distribution=take(entry, "distribution", str, address),
            aliases=texts(entry, "aliases", address),
            scopes=texts(entry, "scopes", address),
            summary=optional(entry, "summary", str, address) or "",
        )
    return found


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
    top = as_object(data, "the document", address)
    check_schema(top, address)
    return top
