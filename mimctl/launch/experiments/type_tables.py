"""The tables of types (`types.json`) of a target's engine and toolboxes, made from source where they are behind it.

A toolbox that is edited in place (an editable installation, a source tree on the import path) may have a table that is
older than its source. Such a table is not believed: the source is read, without importing it, and what it says is kept
in the cache until a file changes. The person is told; nothing is refused for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimctl import __version__
from mimctl.config.scopes import canonical_scope
from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.plugin.discover import Plugin, find_package
from mimctl.plugin.manifest import Manifest

FILE_NAME = "types.json"
ENGINE_PACKAGES = ("mimctl.engine", "mimctl.vision")
_CONFIG = Path(__file__).resolve().parent.parent / "config"

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTable:
    """What is known of a package's types; `problem` says what is wrong with the stored table, None where nothing is."""

    table: Table | None
    """None where neither the stored table nor the source can be read: then nothing is known."""
    problem: str | None = None
    is_from_source: bool = False


def type_tables(
    plugins: Sequence[Plugin],
    roots: Sequence[Path],
    *,
    cache_dir: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> list[Table]:
    """Return the tables of the target's engine, vision and toolboxes; `note` is told of those that are behind.

    A toolbox without a usable table is left out, so that it breaks no other. Raises MimctlError[engine-missing] where
    the target has no mimctl.
    """
    tables: list[Table | None] = []
    for package in ENGINE_PACKAGES:
        folder = find_package(package, roots)
        if folder is None:
            raise MimctlError(
                "the target environment has no mimctl engine",
                code="engine-missing",
                causes=[f"looked for the package `{package}` on its import path"],
                hints=["install a toolbox there, it brings the engine: `mimctl install det`"],
            )
        read = read_table(folder, is_edited=False, cache_dir=cache_dir)
        tables.append(read.table)
        _tell(note, f"{package}: {read.problem}" if read.problem else None)
    for plugin in plugins:
        read = read_table(plugin.package_dir, is_edited=plugin.is_editable, cache_dir=cache_dir)
        tables += in_scopes(read.table, plugin.manifest)
        _tell(note, problem_words(plugin, read))
    return [each for each in tables if each is not None]


def in_scopes(table: Table | None, manifest: Manifest) -> list[Table]:
    """Return a toolbox's table under each scope that its manifest claims, first under its name.

    Words that everybody knows for another scope (`mmdet` for `det`) need no table of their own.
    """
    scopes = [manifest.name, *(each for each in manifest.scopes if canonical_scope(each) == each)]
    return [] if table is None else [{**table, "scope": each} for each in dict.fromkeys(scopes)]


def problem_words(plugin: Plugin, read: ReadTable) -> str | None:
    """Return one line on a toolbox whose stored table is of no use, with what to type; None where all is well."""
    if read.problem is None:
        return None
    return f"toolbox `{plugin.name}`: {read.problem}; {what_to_type(plugin, read)}"


def what_to_type(plugin: Plugin, read: ReadTable) -> str:
    """Return what mends the stored table of a toolbox."""
    if not plugin.is_editable:
        return f"install it again: `mimctl install {plugin.name}`"
    return f"{'write it anew' if read.is_from_source else 'see where'}: `mimctl plugin check {plugin.name}`"


def read_table(folder: Path, *, is_edited: bool, cache_dir: Path | None = None) -> ReadTable:
    """Return the table of a package folder: the stored one, or where it is absent, damaged or behind, what source says.

    Only where the package `is_edited` in place is the stored one compared with the source.
    """
    stored, problem = _stored(folder / FILE_NAME)
    if stored is not None and not is_edited:
        return ReadTable(table=stored)
    try:
        own = generated_table(folder, cache_dir)
    except (ValueError, SyntaxError, OSError, RecursionError) as err:
        behind = f"its {FILE_NAME} cannot be compared with its source: {err}"
        return ReadTable(table=stored, problem=problem or behind)
    if stored is not None and stored != own:
        problem = f"its {FILE_NAME} is behind its source ({difference(stored, own)})"
    return ReadTable(table=own, problem=problem, is_from_source=True)


def generated_table(folder: Path, cache_dir: Path | None) -> dict[str, Any]:
    """Return the table that a package's source gives, from the cache where no file has changed since.

    Raises ValueError where the source cannot be read as Python or registers a name twice.
    """
    from mimctl.config.types import generate

    if cache_dir is None:
        return generate(folder)
    path = cache_dir / "types" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.json"
    print_ = fingerprint(folder)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["fingerprint"] == print_:
            table: dict[str, Any] = kept["table"]
            return table
    made: dict[str, Any] = json.loads(json.dumps(generate(folder)))
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, no more
        write_text(path, json.dumps({"fingerprint": print_, "table": made}))
    return made


def fingerprint(folder: Path) -> str:
    """Return a hash over names, sizes and times of all that a table is made of: the package, the engine, the reader."""
    facts = [f"{__version__}"]
    for root in dict.fromkeys((folder, _CONFIG, _CONFIG.parent / "engine", _CONFIG.parent / "vision")):
        for place, folders, names in os.walk(root):
            folders[:] = sorted(each for each in folders if each != "__pycache__")
            for name in sorted(names):
                if name.endswith(".py"):
                    with contextlib.suppress(OSError):  # a link to nothing
                        found = Path(place, name).stat()
                        facts.append(f"{place}/{name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def difference(stored: Table, own: Table) -> str:
    """Return in a few words what a table lacks, has too much, or says otherwise than the source."""
    old, new = (_entries(each) for each in (stored, own))
    parts = [
        ("it lacks", [each for each in new if each not in old]),
        ("nothing registers", [each for each in old if each not in new]),
        ("other arguments of", [each for each in new if each in old and old[each] != new[each]]),
    ]
    words = [
        f"{what} {', '.join(name for _, name in found[:3])}{f' and {len(found) - 3} more' if len(found) > 3 else ''}"
        for what, found in parts
        if found
    ]
    return "; ".join(words) or "other facts about its modules"


def _entries(table: Table) -> dict[tuple[str, str], Any]:
    return {(kind, name): entry for kind, names in table["kinds"].items() for name, entry in names.items()}


def _stored(path: Path) -> tuple[Table | None, str | None]:
    """Return the stored table, or None and what is wrong with it."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, f"it has no {FILE_NAME}"
    except (OSError, ValueError, RecursionError):
        return None, f"its {FILE_NAME} cannot be read"
    from mimctl.config.types import SCHEMA_VERSION

    if not isinstance(table, dict) or table.get("schema_version") != SCHEMA_VERSION:
        return None, f"its {FILE_NAME} was written by another version of mimctl"
    return (table, None) if _is_table(table) else (None, f"its {FILE_NAME} is damaged")


def _is_table(table: Mapping[str, Any]) -> bool:
    kinds = table.get("kinds")
    return (
        isinstance(table.get("scope"), str)
        and isinstance(kinds, dict)
        and all(isinstance(names, dict) for names in kinds.values())
        and all(_is_entry(entry) for names in kinds.values() for entry in names.values())
    )


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("module"), str)
        and isinstance(entry.get("extra"), bool)
        and isinstance(entry.get("params"), dict)
        and all(isinstance(each, dict) and isinstance(each.get("required"), bool) for each in entry["params"].values())
    )


def _tell(note: Callable[[str], None] | None, words: str | None) -> None:
    if note is not None and words is not None:
        note(f"warning: {words}")
