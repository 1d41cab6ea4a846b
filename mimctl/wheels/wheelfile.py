"""Reads and rewrites wheel files as untrusted data: bounded sizes, checked names, nothing unpacked to disk."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from mimctl.errors import IntegrityError

MAX_MEMBERS = 50_000
MAX_METADATA_BYTES = 1 << 20
MAX_LIBRARY_BYTES = 1 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFacts:
    """What a wheel says about itself."""

    filename: str
    project: str
    """Normalised (PEP 503)."""
    version: str
    tags: tuple[str, ...]
    sha256: str
    size: int
    metadata: bytes
    """The METADATA file as it lies in the wheel."""
    requires_python: str | None
    requires_dist: tuple[str, ...]
    provides_extra: tuple[str, ...]
    summary: str
    build: dict[str, Any] | None
    """`<package>/build.json` of a wheel with operators."""


def read_wheel(path: Path) -> WheelFacts:
    """Read a wheel's facts; raise IntegrityError[bad-wheel] where it is damaged or its name and contents disagree."""
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    try:
        project, version, _build, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as err:
        raise _bad(path, str(err)) from err
    with open_wheel(path) as archive:
        metadata = read_member(archive, path, f"{_dist_info(archive, path)}/METADATA", MAX_METADATA_BYTES)
        headers = _headers(metadata, path)
        package = project.replace("-", "_")
        build = _build_facts(archive, path, f"{package}/build.json")
    if canonicalize_name(headers["Name"] or "") != project or str(headers["Version"]) != str(version):
        raise _bad(path, f"its METADATA is that of {headers['Name']} {headers['Version']}")
    sha256, size = hash_file(path)
    return WheelFacts(
        filename=path.name,
        project=str(project),
        version=str(version),
        tags=tuple(sorted(map(str, tags))),
        sha256=sha256,
        size=size,
        metadata=metadata,
        requires_python=headers["Requires-Python"],
        requires_dist=tuple(headers.get_all("Requires-Dist", ())),
        provides_extra=tuple(headers.get_all("Provides-Extra", ())),
        summary=headers["Summary"] or "",
        build=build,
    )


def hash_file(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256 (hex) and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


@contextmanager
def open_wheel(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel after checking its member names; raise IntegrityError[bad-wheel]."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            yield archive
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as err:
        raise _bad(path, str(err)) from err


def read_member(archive: zipfile.ZipFile, path: Path, name: str, limit: int) -> bytes:
    """Return one member of at most `limit` bytes; raise IntegrityError[bad-wheel] where it is larger or absent."""
    import zlib

    try:
        with archive.open(name) as stream:
            data = stream.read(limit + 1)
    except KeyError as err:
        raise _bad(path, f"it holds no {name}") from err
    except zlib.error as err:
        raise _bad(path, f"{name}: {err}") from err
    if len(data) > limit:
        raise _bad(path, f"{name} is larger than {limit} bytes")
    return data


def shared_libraries(path: Path) -> list[tuple[str, bytes]]:
    """Return the compiled libraries of a wheel as (member name, bytes)."""
    with open_wheel(path) as archive:
        names = [name for name in archive.namelist() if ".so" in Path(name).suffixes]
        return [(name, read_member(archive, path, name, MAX_LIBRARY_BYTES)) for name in names]


def rewrite(source: Path, folder: Path, *, platform: str | None = None, label: str = "") -> Path:
    """Write a wheel anew into `folder`: with another platform tag or a local version label, and equal modes everywhere.

    `label` "cu13" makes 0.1.0 to 0.1.0+cu13 wherever the wheel says its version (PEP 440). Times are those of the
    source, modes are 0644 (0755 for libraries), so that the umask of the building user leaves no trace. Returns the new
    path; an existing file of that name is replaced by a rename.
    """
    name, version, *rest = source.name.removesuffix(".whl").split("-")
    labelled = _labelled(version, label)
    rest[-1] = platform or rest[-1]
    target = folder / f"{'-'.join([name, labelled, *rest])}.whl"
    temporary = folder / f".{target.name}.{hashlib.sha256(str(source).encode()).hexdigest()[:8]}"
    folders = {f"{name}-{version}.{kind}": f"{name}-{labelled}.{kind}" for kind in ("dist-info", "data")}
    try:
        with open_wheel(source) as archive, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as out:
            changes = _changes(archive, source, tag="-".join(rest[-3:]) if platform else None, label=label)
            _copy_members(archive, out, changes, folders if label else {})
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _labelled(version: str, label: str) -> str:
    return f"{version}{'.' if '+' in version else '+'}{label}" if label else version


def _changes(archive: zipfile.ZipFile, path: Path, *, tag: str | None, label: str) -> dict[str, bytes]:
    """Return the members that change, by their old names; RECORD, which lists them all, is not among them."""
    info_dir = _dist_info(archive, path)
    changed: dict[str, bytes] = {}
    if tag is not None:
        wheel = read_member(archive, path, f"{info_dir}/WHEEL", MAX_METADATA_BYTES).decode("utf-8")
        lines = [line for line in wheel.splitlines() if line and not line.startswith("Tag:")]
        changed[f"{info_dir}/WHEEL"] = ("\n".join([*lines, f"Tag: {tag}"]) + "\n").encode("utf-8")
    if label:
        metadata = read_member(archive, path, f"{info_dir}/METADATA", MAX_METADATA_BYTES)
        version = str(_headers(metadata, path)["Version"])
        head, blank, body = metadata.partition(b"\n\n")
        old, new = (f"\nVersion: {text}\n".encode() for text in (version, _labelled(version, label)))
        changed[f"{info_dir}/METADATA"] = (b"\n" + head + b"\n").replace(old, new, 1)[1:-1] + blank + body
    if changed:
        record = read_member(archive, path, f"{info_dir}/RECORD", 16 * MAX_METADATA_BYTES)
        changed[f"{info_dir}/RECORD"] = record
    return changed


def _copy_members(
    archive: zipfile.ZipFile, out: zipfile.ZipFile, changes: dict[str, bytes], folders: dict[str, str]
) -> None:
    """Copy all members; `folders` maps the names of top folders to new ones."""

    def renamed(name: str) -> str:
        top, slash, rest = name.partition("/")
        return f"{folders.get(top, top)}{slash}{rest}"

    for member in archive.infolist():
        if member.is_dir():
            continue
        data = changes.get(member.filename)
        if data is not None and member.filename.endswith(".dist-info/RECORD"):
            data = _new_record(data.decode("utf-8"), changes, renamed).encode("utf-8")
        info = zipfile.ZipInfo(renamed(member.filename), member.date_time)
        info.compress_type = zipfile.ZIP_DEFLATED
        mode = 0o755 if ".so" in Path(member.filename).suffixes else 0o644
        info.external_attr = (stat.S_IFREG | mode) << 16
        out.writestr(info, archive.read(member) if data is None else data)


def _new_record(record: str, changed: dict[str, bytes], renamed: Callable[[str], str]) -> str:
    lines = []
    for line in record.splitlines():
        name, digest, size = line.rsplit(",", 2)
        if digest and name in changed:
            raw = base64.urlsafe_b64encode(hashlib.sha256(changed[name]).digest()).rstrip(b"=")
            digest, size = f"sha256={raw.decode('ascii')}", str(len(changed[name]))
        lines.append(f"{renamed(name)},{digest},{size}")
    return "\n".join(lines) + "\n"


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise _bad(path, f"it holds {len(members)} files, more than {MAX_MEMBERS}")
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise _bad(path, "two of its files have one name")
    for member in members:
        parts = member.filename.split("/")
        if member.filename.startswith("/") or ".." in parts or "\\" in member.filename or "\0" in member.filename:
            raise _bad(path, f"the member {member.filename!r} would be written outside its place")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _bad(path, f"the member {member.filename!r} is a link")


def _dist_info(archive: zipfile.ZipFile, path: Path) -> str:
    found = {name.split("/")[0] for name in archive.namelist() if name.split("/")[0].endswith(".dist-info")}
    if len(found) != 1:
        raise _bad(path, f"it holds {len(found)} .dist-info folders, not one")
    return found.pop()


def _headers(metadata: bytes, path: Path) -> Message:
    try:
        headers = HeaderParser().parsestr(metadata.decode("utf-8"))
    except UnicodeDecodeError as err:
        raise _bad(path, "its METADATA is not UTF-8") from err
    if headers["Name"] is None or headers["Version"] is None:
        raise _bad(path, "its METADATA names no project or no version")
    return headers


def _build_facts(archive: zipfile.ZipFile, path: Path, name: str) -> dict[str, Any] | None:
    if name not in archive.namelist():
        return None
    try:
        facts = json.loads(read_member(archive, path, name, MAX_METADATA_BYTES))
    except (ValueError, RecursionError) as err:
        raise _bad(path, f"{name}: {err}") from err
    if not isinstance(facts, dict) or not isinstance(facts.get("backend"), str):
        raise _bad(path, f"{name} names no backend")
    return facts


def _bad(path: Path, cause: str) -> IntegrityError:
    return IntegrityError(f"`{path.name}` is no usable wheel", code="bad-wheel", causes=[cause])
