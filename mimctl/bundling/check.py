"""Check a bundle against its manifest; a bundle carries this file as `check.py`, so it needs nothing but Python."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
_FREE = ("data/",)
"""Where further files may lie: nothing there is installed."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle; raise ValueError with one line where there is none that can be read."""
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as err:
        raise ValueError(f"it has no {MANIFEST}") from err
    except ValueError as err:
        raise ValueError(f"its {MANIFEST} is damaged") from err
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"its {MANIFEST} is of another version")
    if not isinstance(data.get("files"), dict):
        raise ValueError(f"its {MANIFEST} names no files")
    return data


def problems_of(folder: Path, files: dict[str, Any]) -> list[str]:
    """Return what is not as the manifest says: a line for each file that is missing, changed or not in it."""
    found = []
    for name, said in sorted(files.items()):
        path = folder / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not isinstance(said, dict):
            found.append(f"{name!r}: no name of a file in a bundle")
        elif path.is_symlink() or not path.is_file():
            found.append(f"{name}: missing")
        elif path.stat().st_size != said.get("size"):
            found.append(f"{name}: expected {said.get('size')} bytes, found {path.stat().st_size}")
        else:
            digest = sha256_of(path)
            if digest != said.get("sha256"):
                found.append(f"{name}: sha256 expected {said.get('sha256')}, found {digest}")
    return found + [f"{name}: not in the manifest" for name in names_below(folder) if _is_strange(name, files)]


def names_below(folder: Path) -> list[str]:
    """Return the names of all files of a folder, with slashes, sorted; links count as files."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [each for each in folders if (Path(place) / each).is_symlink()]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_strange(name: str, files: dict[str, Any]) -> bool:
    return name != MANIFEST and name not in files and not name.startswith(_FREE)


def main(folder: Path) -> int:
    """Print what is wrong with a bundle, and for which Pythons it is; return 0 where it can be installed from here."""
    try:
        manifest = read_manifest(folder)
    except ValueError as err:
        print(f"error: this is no bundle: {err}", file=sys.stderr)
        return 1
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    pythons = [each.get("python", "") for each in manifest.get("environments", ())]
    if here not in {".".join(each.split(".")[:2]) for each in pythons}:
        print(f"error: this bundle is for Python {', '.join(sorted(set(pythons)))}, found {here}", file=sys.stderr)
        print("hint: name another: PYTHON=/path/to/python3 sh install.sh", file=sys.stderr)
        return 1
    problems = problems_of(folder, manifest["files"])
    for each in problems[:20]:
        print(f"error: {each}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
