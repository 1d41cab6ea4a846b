"""Where settings stand: the user's file, the project's, and on which line of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mimctl.errors import ConfigError, Origin


def user_file(home: Path) -> Path | None:
    """Return the user's settings file where it exists."""
    path = home / "config.toml"
    return path if path.is_file() else None


def project_file(folder: Path) -> Path | None:
    """Return the nearest `mimctl.toml`, or `pyproject.toml` with `[tool.mimctl]`, in `folder` or above it."""
    for each in (folder, *folder.parents):
        if (each / "mimctl.toml").is_file():
            return each / "mimctl.toml"
        pyproject = each / "pyproject.toml"
        if pyproject.is_file() and "[tool.mimctl" in pyproject.read_text(encoding="utf-8", errors="replace"):
            return pyproject
    return None


def read_file(path: Path) -> dict[str, Any]:
    """Return the raw settings that a file holds; raise ConfigError[settings] where it is no TOML."""
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"`{path}` is not valid TOML", code="settings", causes=[str(err)], origin=Origin(file=str(path))
        ) from err
    if path.name == "pyproject.toml":
        table = data.get("tool", {}).get("mimctl", {})
        return dict(table)
    return data


def line_of(path: Path, name: str) -> int | None:
    """Return the 1-based line of a settings file on which `name` (`index`, `clusters.alpha.setup`) is set.

    Where it stands in an inline table, or is itself a table, that table's first line.
    """
    table, holder = "", None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if text.startswith("[") and "=" not in text.partition("]")[0]:
            table = _plain(text.strip("[]"))
            where = table
        elif "=" in text:
            where = f"{table}.{_plain(text.partition('=')[0])}"
        else:
            continue
        where = where.removeprefix("tool.mimctl").removeprefix(".")
        if where == name:
            return number
        if where and (name.startswith(f"{where}.") or where.startswith(f"{name}.")):
            holder = holder or number
    return holder


def _plain(key: str) -> str:
    return ".".join(part.strip() for part in key.replace('"', "").replace("'", "").split("."))
