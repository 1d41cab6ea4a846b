"""The checkpoints of a work dir: which is the newest whole one, which the last was, and copies to publish."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mimctl.engine.files.atomic import atomic_write, name_by_hash, put_in_place, temporary_beside
from mimctl.engine.reporting.log import get_logger

POINTER = "last_checkpoint"
_NUMBERED = re.compile(r"(epoch|iter)_\d+\.pth")


def point_to(work_dir: Path, path: Path) -> None:
    """Write down which checkpoint of a run is the last."""
    atomic_write(work_dir / POINTER, lambda temporary: temporary.write_text(str(path), encoding="utf-8"))


def find_latest(work_dir: str | os.PathLike[str]) -> Path | None:
    """Return the newest checkpoint of a work dir that can be read, None where there is none.

    `last_checkpoint` is believed first; where there is none, or its file fails its checksums (which is said), the
    newest other one: `epoch_N.pth` and `iter_N.pth`, and files beside the last one whose names differ from it in their
    number alone.
    """
    for path in dict.fromkeys(_candidates(Path(work_dir))):
        if is_readable(path, checks_content=True):
            return path
        get_logger().warning("`%s` is cut off or damaged: another checkpoint is taken", path)
    return None


def is_readable(path: Path, *, checks_content: bool = False) -> bool:
    """Return whether the file is a whole zip archive as torch writes it, by the directory at its end.

    `checks_content` reads all of it and compares the checksums that it carries.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            is_whole = any(name.endswith("data.pkl") for name in archive.namelist())
            return is_whole and (not checks_content or archive.testzip() is None)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        return False


def publish(path: Path, keys: Sequence[str]) -> Path:
    """Write a copy of a checkpoint with `keys` alone, called `<name>-<first 8 hex digits of its sha256>.pth`."""
    from mimctl.engine.checkpoints.checkpoint import read_checkpoint

    content = read_checkpoint(path)
    with temporary_beside(path) as temporary:
        torch.save({key: content[key] for key in keys if key in content}, temporary)
        name, _ = name_by_hash(temporary, path.stem)
        published = path.with_name(f"{name}.pth")
        put_in_place(temporary, published)
    return published


def _candidates(folder: Path) -> Iterator[Path]:
    folders, pattern = [folder], _NUMBERED
    named = _pointed_to(folder)
    if named is not None:
        # A work dir that was copied still points to where it was.
        places = [folder / named.name, named]
        yield from (path for path in dict.fromkeys(places) if path.is_file())
        folders = list(dict.fromkeys([folder, named.parent]))
        before, number, behind = _split_number(named.name)
        if number:
            pattern = re.compile(rf"{_NUMBERED.pattern}|{re.escape(before)}\d+{re.escape(behind)}")
    found = [path for each in folders if each.is_dir() for path in each.iterdir() if pattern.fullmatch(path.name)]
    yield from sorted(found, key=_age)


def _pointed_to(folder: Path) -> Path | None:
    try:
        text = (folder / POINTER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not text or "\0" in text:
        return None
    named = Path(text)
    return named if named.is_absolute() else folder / named


def _split_number(name: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", name)
    return (found[1], found[2], found[3]) if found else (name, "", "")


def _age(path: Path) -> int:
    try:
        return -path.stat().st_mtime_ns
    except OSError:
        return 0
