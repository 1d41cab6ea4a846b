"""Configs out of a published wheel of OpenMMLab: fetched by pip or uv, unpacked as data, kept in the cache."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email import message_from_string
from pathlib import Path, PurePosixPath

from mimctl.errors import IntegrityError, MimctlError, NetworkError, UnsafeFileError, UsageError
from mimctl.transfer import Note
from mimctl.transfer.cache import open_cache

_NAME = r"[A-Za-z0-9][\w.-]*"
_CLAUSE = r"(?:[<>=!~]=|[<>])[0-9][\w.+!*]*"
_REQUIREMENT = re.compile(rf"({_NAME})({_CLAUSE}(?:,{_CLAUSE})*)?")
_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".json"})
_VERSIONS = re.compile(r"\(from versions: ([^)]*)\)")
_MOST_BYTES = 64 << 20
_CONVENTION = "name a package that carries its configs as mim's do: `mmdet`, `mmpretrain`, …"
_USED = ".used"
"""Tells by its time when the configs beside it were used last."""
_METADATA = "METADATA"
"""The wheel's own, kept beside its configs: it says which releases of other packages these want."""


def upstream_configs(
    requirement: str,
    *,
    cache_dir: Path,
    is_offline: bool = False,
    python: Path | None = None,
    note: Note | None = None,
) -> Path:
    """Return a folder with the configs (`<package>/.mim/configs`) of `mmdet==3.3.0`, or of the newest `mmdet`.

    Of a range (`mmdet>=3.0.0rc2,<3.1`) the newest in the cache serves, else the one that the package index has. The
    wheel is fetched once from the package index that pip (or uv, where the target has no pip) is set up for;
    nothing in it is run or imported. `python` is the target interpreter.
    Raises NetworkError[offline | package-index], UnsafeFileError[unsafe-archive], IntegrityError[no-configs].
    """
    found = _REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise UsageError(f"`{requirement}` names no releases of a package", code="bad-requirement")
    name, clauses = found.groups()
    open_cache(cache_dir, note)
    folder = cache_dir / "upstream"
    kept = _kept(folder, name, clauses, is_offline=is_offline)
    if kept is not None:
        with contextlib.suppress(OSError):  # the cache may be one that is only read
            (kept / _USED).touch()
        return kept / "configs"
    if is_offline:
        raise NetworkError(
            f"offline, and the configs of `{requirement}` are not in the cache",
            code="offline",
            hints=["run the same command once with the network"],
        )
    if note is not None:
        note(f"fetching `{requirement}` from the package index")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}.") as temporary:
        wheel = fetch_wheel(requirement, Path(temporary) / "wheel", python=python)
        place = folder / f"{name}-{_exact(clauses) or wheel.name.split('-')[1]}"
        unpacked = Path(temporary) / "unpacked"
        unpack_configs(wheel, unpacked / "configs")
        _keep_metadata(wheel, unpacked / _METADATA)
        try:
            unpacked.rename(place)
        except OSError:
            if not (place / "configs").is_dir():  # else another process was first
                raise
    return place / "configs"


def wanted_release(configs: Path, distribution: str) -> str | None:
    """Return which releases of another distribution a wheel names (`mmdet<3.1.0,>=3.0.0rc2`), None where it names none.

    `configs` is what `upstream_configs` returned of that wheel. Those of its extras count: mim's convention is to name
    toolboxes there.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        text = (configs.parent / _METADATA).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for value in message_from_string(text).get_all("Requires-Dist") or ():
        with contextlib.suppress(InvalidRequirement):
            found = Requirement(str(value))
            if canonicalize_name(found.name) == canonicalize_name(distribution) and found.url is None:
                return f"{distribution}{found.specifier}"
    return None


def _exact(clauses: str | None) -> str | None:
    """Return the one release that `==3.3.0` names, None for a range."""
    return clauses[2:] if clauses and clauses.startswith("==") and not set(",*") & set(clauses) else None


def _kept(folder: Path, name: str, clauses: str | None, *, is_offline: bool) -> Path | None:
    """Return what is in the cache; of a name alone the newest there, and only offline: the index may have a newer."""
    version = _exact(clauses)
    if version is not None:
        place = folder / f"{name}-{version}"
        return place if (place / "configs").is_dir() else None
    places = [path for path in folder.glob(f"{name}-*") if (path / "configs").is_dir()]
    if clauses is not None:
        return _newest_of(places, clauses)
    return max(places, key=lambda path: path.stat().st_mtime, default=None) if is_offline else None


def _newest_of(places: Sequence[Path], clauses: str) -> Path | None:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    wanted = SpecifierSet(clauses)
    found: dict[Version, Path] = {}
    for place in places:
        with contextlib.suppress(InvalidVersion):
            found[Version(place.name.rpartition("-")[2])] = place
    return max(((version, place) for version, place in found.items() if version in wanted), default=(None, None))[1]


def fetch_wheel(requirement: str, folder: Path, *, python: Path | None = None) -> Path:
    """Download the wheel of `requirement` alone into `folder` and return it; no sdist is ever built."""
    folder.mkdir(parents=True)
    options = ["--no-deps", "--only-binary=:all:"]
    said: list[str] = []
    for interpreter in dict.fromkeys([str(python or sys.executable), sys.executable]):
        pip = [interpreter, "-P", "-m", "pip", "--disable-pip-version-check", "download", "--quiet", *options]
        code, stderr = _run([*pip, "--dest", str(folder), requirement])
        wheels = sorted(folder.glob("*.whl"))
        if code == 0 and wheels:
            return wheels[0]
        if "No module named pip" not in stderr:
            raise _failed(requirement, stderr)
        said.append(f"`{interpreter}` has no pip")
    uv = shutil.which("uv")
    if uv is None:
        raise MimctlError(
            f"nothing can fetch `{requirement}`",
            code="no-installer",
            causes=[*said, "uv is not installed"],
            hints=["install pip: `python -m ensurepip`"],
        )
    return _wheel_through_uv(uv, requirement, folder, options)


def _wheel_through_uv(uv: str, requirement: str, folder: Path, options: Sequence[str]) -> Path:
    """Let uv unpack the wheel into a folder (it cannot download one) and return that as a zip file again."""
    target = folder / "unpacked"
    code, stderr = _run([uv, "pip", "install", "--quiet", *options, "--target", str(target), requirement])
    if code != 0:
        raise _failed(requirement, stderr)
    info = next(iter(target.glob("*.dist-info")), target / "unknown-0.dist-info")
    wheel = folder / f"{info.name.removesuffix('.dist-info')}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted([*target.glob("*/.mim/configs/**/*"), info / _METADATA]):
            if path.is_file():
                archive.write(path, path.relative_to(target).as_posix())
    return wheel


def unpack_configs(wheel: Path, folder: Path) -> None:
    """Write the config files below `<package>/.mim/configs/` of a wheel to `folder`, and nothing else.

    Raises UnsafeFileError[unsafe-archive] for members that leave the folder or unpack to more than 64 MB,
    IntegrityError[no-configs] where there is none or the file is no zip archive.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = {
                name: info
                for info in archive.infolist()
                if (name := info.filename.partition("/.mim/configs/")[2]) and PurePosixPath(name).suffix in _SUFFIXES
            }
            if not members:
                raise _no_configs(wheel, "it has no folder `.mim/configs`")
            if sum(info.file_size for info in members.values()) > _MOST_BYTES:
                raise _unsafe(wheel, f"its configs unpack to more than {_MOST_BYTES >> 20} MB")
            for name, info in members.items():
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts or "\\" in name:
                    raise _unsafe(wheel, f"`{name!a}` leaves its folder")
                dest = folder / path
                dest.parent.mkdir(parents=True, exist_ok=True)
                dest.write_bytes(archive.read(info))
    except (zipfile.BadZipFile, EOFError) as problem:
        raise _no_configs(wheel, "it is no zip archive") from problem


def _keep_metadata(wheel: Path, path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.filename.endswith(f".dist-info/{_METADATA}") and info.file_size <= _MOST_BYTES:
                path.write_bytes(archive.read(info))
                return


def _run(argv: Sequence[str]) -> tuple[int, str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as problem:
        return 127, str(problem)
    return done.returncode, done.stderr


def _failed(requirement: str, stderr: str) -> NetworkError:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    lines = [line for line in lines if line.lower().startswith("error")] or lines
    lines = [_VERSIONS.sub(_few_versions, line) for line in lines]
    shown = [re.sub(r"//[^/@\s]+@", "//***@", line)[:200] for line in lines[-3:]]
    return NetworkError(
        f"the package index gave no wheel of `{requirement}`",
        code="package-index",
        causes=shown,
        hints=["check name and version", "check pip's index settings: `python -m pip config list`"],
    )


def _few_versions(found: re.Match[str]) -> str:
    """Return pip's list of all releases as their number and the newest of them."""
    versions = found[1].split(", ")
    return found[0] if len(versions) < 4 else f"(of {len(versions)} versions the newest: {', '.join(versions[-3:])})"


def _no_configs(wheel: Path, cause: str) -> IntegrityError:
    return IntegrityError(f"no configs in `{wheel.name}`", code="no-configs", causes=[cause], hints=[_CONVENTION])


def _unsafe(wheel: Path, cause: str) -> UnsafeFileError:
    return UnsafeFileError(f"refused to unpack `{wheel.name}`", code="unsafe-archive", causes=[cause])
