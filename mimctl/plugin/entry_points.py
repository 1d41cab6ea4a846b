"""Entry points (toolboxes, commands), read off the files of an environment without looking into a toolbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

GROUP = "mimctl.plugins"


def plugin_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the toolboxes on an import path, sorted."""
    infos = (info for folder in paths if folder.is_dir() for info in folder.glob("*.dist-info"))
    return sorted({name for info in infos for name, _ in read_entry_points(info / "entry_points.txt")})


def read_entry_points(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, import package) of the toolboxes that an `entry_points.txt` declares."""
    for name, target in _read(path, GROUP):
        yield name, target.partition(":")[0].strip()


def read_console_scripts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, `module:function`) of the commands that an `entry_points.txt` declares."""
    for name, target in _read(path, "console_scripts"):
        yield name, target.partition("[")[0].replace(" ", "")


def _read(path: Path, group: str) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if group not in text:
        return
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()
