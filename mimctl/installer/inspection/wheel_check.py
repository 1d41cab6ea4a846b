"""Inspects a wheel before any installer sees it: it is the one that was chosen, and writes only where it may."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mimctl.errors import UnsafeFileError
from mimctl.installer.inspection.protected import normal_name, top_name
from mimctl.installer.inspection.wheel_archive import bad_wheel, open_archive, printable, read_member, unsafe_wheel

if TYPE_CHECKING:
    from packaging.version import Version

    from mimctl.index.model import IndexFile
    from mimctl.resolution.model import Metadata

_MAX_METADATA = 8 << 20
_MAX_WHEEL = 64 << 10
_MAX_RECORD = 64 << 20
_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
_INTERPRETER = re.compile(r"(python|pythonw|pypy|activate)[\d.t]*(\.\w+|-config)?|pyvenv\.cfg", re.IGNORECASE)
_PYTHON_FOLDERS = re.compile(r"(lib|lib64|include)/(python|pypy)[^/]*(/|$)|lib/site-packages(/|$)", re.IGNORECASE)
_SCRIPT_NAME = re.compile(r"[^\s/\\:]+")


def check_wheel(
    path: Path,
    *,
    file: IndexFile | None = None,
    metadata: Metadata | None = None,
    protected: Mapping[str, str] | None = None,
) -> None:
    """Refuse a wheel that is not what its name says, or that would write what is not its own; nothing is unpacked.

    `file` is what the index says of it, `metadata` what the resolution was made with. `protected` maps the names of
    top-level packages and modules that belong to distributions that stay to those distributions (`protected_names`).
    Raises IntegrityError[bad-wheel] (damaged, or name, METADATA, RECORD and index disagree), [zip-bomb],
    UnsafeFileError[unsafe-wheel] (it leaves its place or replaces the interpreter), [foreign-files].
    """
    name, version = _identity(path)
    if file is not None and not _is_listed_so(file, path.name, name, version):
        listed = f"`{printable(file.filename)}`, {printable(file.project)} {printable(file.version)}"
        raise bad_wheel(path, f"the index lists it as {listed}")
    with open_archive(path) as archive:
        members = [member for member in archive.namelist() if not member.endswith("/")]
        info = _info_folder(path, members, name, version)
        _check_metadata(path, read_member(archive, path, f"{info}/METADATA", _MAX_METADATA), name, version, metadata)
        _check_wheel_file(path, read_member(archive, path, f"{info}/WHEEL", _MAX_WHEEL))
        _check_record(path, read_member(archive, path, f"{info}/RECORD", _MAX_RECORD), members, info)
        _check_places(path, members, info.removesuffix(".dist-info") + ".data", protected or {}, name)
        _check_entry_points(path, archive, info)


def _identity(path: Path) -> tuple[str, Version]:
    """Return the normalised project and the version that the file name tells (PEP 427)."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import InvalidVersion

    try:
        name, version, _build, _tags = parse_wheel_filename(path.name)
    except (InvalidWheelFilename, InvalidVersion) as err:
        raise bad_wheel(path, printable(str(err))) from err
    return str(name), version


def _is_listed_so(file: IndexFile, filename: str, name: str, version: Version) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return (file.project, file.filename) == (name, filename) and Version(file.version) == version
    except InvalidVersion:
        return False


def _info_folder(path: Path, members: Iterable[str], name: str, version: Version) -> str:
    from packaging.version import InvalidVersion, Version

    found = sorted({top for member in members if (top := member.partition("/")[0]).endswith(".dist-info")})
    if len(found) != 1:
        raise bad_wheel(path, f"it holds {len(found)} .dist-info folders, not one")
    project, _, text = found[0].removesuffix(".dist-info").partition("-")
    try:
        is_same = normal_name(project) == name and Version(text) == version
    except InvalidVersion:
        is_same = False
    if not is_same:
        raise bad_wheel(path, f"its contents are those of `{printable(found[0])}`")
    return found[0]


def _check_metadata(path: Path, text: bytes, name: str, version: Version, expected: Metadata | None) -> None:
    from packaging.version import InvalidVersion, Version

    headers = _headers(path, text, "METADATA")
    try:
        is_same = normal_name(headers["Name"] or "") == name and Version(headers["Version"] or "") == version
    except InvalidVersion:
        is_same = False
    if not is_same:
        said = printable(f"{headers['Name']} {headers['Version']}")
        raise bad_wheel(path, f"its METADATA is that of {said}")
    if expected is None:
        return
    needs, promised = _requirements(headers.get_all("Requires-Dist", ())), _requirements(expected.requires_dist)
    if needs != promised:
        more, less = sorted(needs - promised), sorted(promised - needs)
        facts = [*(f"only in the wheel: {each}" for each in more), *(f"only in the index: {each}" for each in less)]
        raise bad_wheel(path, f"its index told other requirements than it has; {printable('; '.join(facts[:4]))}")


def _check_wheel_file(path: Path, text: bytes) -> None:
    version = _headers(path, text, "WHEEL")["Wheel-Version"] or ""
    if version.strip().partition(".")[0] != "1":
        raise bad_wheel(path, f"it is written in version `{printable(version)}` of the wheel format, not 1")


def _check_record(path: Path, text: bytes, members: Iterable[str], info: str) -> None:
    """Refuse a member that RECORD does not list, for nothing would remove it again, and files in RECORD that are not
    the wheel's, for an uninstallation would remove them.
    """
    try:
        rows = list(csv.reader(text.decode("utf-8").splitlines()))
    except (UnicodeDecodeError, csv.Error) as err:
        raise bad_wheel(path, "its RECORD cannot be read") from err
    listed = {row[0].replace("\\", "/").removeprefix("./") for row in rows if row}
    for name in listed:
        if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
            raise unsafe_wheel(path, f"its RECORD lists `{printable(name)}`, which is not its own")
    for member in members:
        if member not in listed and member.removeprefix(f"{info}/") not in _SIGNATURES:
            raise bad_wheel(path, f"its RECORD does not list `{printable(member)}`")


def _check_places(path: Path, members: Iterable[str], data: str, protected: Mapping[str, str], name: str) -> None:
    """Follow each member to where an installer would put it."""
    targets: set[tuple[str, str]] = set()
    for member in members:
        scheme, target = _target(path, member, data)
        if (scheme, target) in targets:
            raise bad_wheel(path, f"two of its files would become `{printable(target)}`")
        targets.add((scheme, target))
        if (scheme == "scripts" and _is_interpreter(target)) or (scheme == "data" and _is_python_place(target)):
            raise unsafe_wheel(path, f"`{printable(member)}` would replace a part of Python or of another package")
        owner = protected.get(top_name(target)) if scheme == "site" else None
        if owner is not None and owner != name:
            raise _foreign(path, target, owner)


def _target(path: Path, member: str, data: str) -> tuple[str, str]:
    """Return where a member goes: `site`, `headers`, `scripts` or `data`, and the path there."""
    top, _, rest = member.partition("/")
    if not top.endswith(".data"):
        if top.endswith((".egg-info", ".egg-link")):
            raise unsafe_wheel(path, f"`{printable(member)}` poses as another installed package")
        return "site", member
    scheme, _, inner = rest.partition("/")
    if top != data or scheme not in _SCHEMES or not inner:
        raise unsafe_wheel(path, f"`{printable(member)}` belongs to none of the places that wheels have")
    if scheme not in ("purelib", "platlib"):
        return scheme, inner
    if inner.partition("/")[0].endswith((".dist-info", ".egg-info", ".egg-link")):
        raise unsafe_wheel(path, f"`{printable(member)}` poses as another installed package")
    return "site", inner


def _check_entry_points(path: Path, archive: zipfile.ZipFile, info: str) -> None:
    """Refuse commands that would be written elsewhere than among the scripts, or over the interpreter."""
    member = f"{info}/entry_points.txt"
    if member not in archive.namelist():
        return
    group = ""
    for line in read_member(archive, path, member, _MAX_METADATA).decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("["):
            group = text.strip("[] ").lower()
        elif group in ("console_scripts", "gui_scripts") and text and text[0] not in "#;":
            command = text.partition("=")[0].strip()
            if not _SCRIPT_NAME.fullmatch(command) or command.startswith(".") or _is_interpreter(command):
                raise unsafe_wheel(path, f"it would write a command `{printable(command)}`")


def _headers(path: Path, text: bytes, what: str) -> Message:
    try:
        return HeaderParser().parsestr(text.decode("utf-8"))
    except UnicodeDecodeError as err:
        raise bad_wheel(path, f"its {what} is not UTF-8") from err


def _requirements(lines: Iterable[str]) -> set[str]:
    """Return requirements in one spelling, so that two lists can be compared."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found = set()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            found.add(" ".join(line.split()))
            continue
        requirement.name = canonicalize_name(requirement.name)
        requirement.extras = {canonicalize_name(extra) for extra in requirement.extras}
        found.add(str(requirement))
    return found


def _is_interpreter(name: str) -> bool:
    return _INTERPRETER.fullmatch(PurePosixPath(name).name) is not None


def _is_python_place(target: str) -> bool:
    """Return whether a file of the `data` scheme, which counts from the environment's root, would be Python's own."""
    folder = target.partition("/")[0].lower()
    is_command = folder in ("bin", "scripts") and _is_interpreter(target)
    return is_command or target.lower() == "pyvenv.cfg" or _PYTHON_FOLDERS.match(target) is not None


def _foreign(path: Path, target: str, owner: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"refused to install `{printable(path.name)}`",
        code="foreign-files",
        causes=[f"`{printable(target)}` belongs to the package of `{owner}`, which is installed and stays"],
        hints=[f"remove the other first, if that is what you want: `mimctl uninstall {owner}`"],
    )
