"""Writes the tree of an index: its pages and documents from entries, its files by copy or by a second link.

Modes are the same whatever the umask: an index is there to be read by others.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import mimctl
from mimctl.errors import UsageError
from mimctl.index.model import TorchVersions
from mimctl.site import pages, people
from mimctl.site.entry import Entry
from mimctl.site.sources import Zoo
from mimctl.site.verified import FILE as VERIFIED
from mimctl.site.verified import Verified, to_document

SCHEMA_VERSION = 1
_GENERATOR = "mimctl"


def check_out(out: Path) -> None:
    """Refuse to replace what is not an index of ours: a mistyped `--out` must not cost anybody a folder.

    Raises UsageError[not-a-site].
    """
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink() and (not any(out.iterdir()) or is_site(out)):
        return
    raise UsageError(
        f"`{out}` is there already and is no index that mimctl made",
        code="not-a-site",
        causes=["building an index replaces the whole folder"],
        hints=["name a new or an empty folder: `--out DIR`"],
    )


def is_site(folder: Path) -> bool:
    """Return whether a folder is an index that mimctl made."""
    return read_site(folder) is not None


def read_site(folder: Path) -> dict[str, Any] | None:
    """Return the index.json of an index that mimctl made, None where there is none."""
    try:
        data = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(data, dict) and str(data.get("generator", "")).startswith(f"{_GENERATOR} ")
    return data if is_ours else None


def write_index(
    root: Path,
    entries: Sequence[Entry],
    *,
    torch: TorchVersions,
    toolboxes: Mapping[str, Mapping[str, Any]],
    num_models: Mapping[str, int],
    verified: Verified,
) -> None:
    """Write all that depends on the entries: index.json, toolboxes.json, the pages for pip, uv and people."""
    head = {"schema_version": SCHEMA_VERSION, "generator": f"{_GENERATOR} {mimctl.__version__}"}
    files = [entry.to_dict() for entry in entries]
    document = {**head, "files": files, "torch": asdict(torch)}
    write(root / "index.json", pages.to_json(document, many="files"))
    write(root / "toolboxes.json", pages.to_json({**head, "toolboxes": toolboxes, "models": dict(num_models)}))
    write(root / VERIFIED, pages.to_json(to_document(verified, head)))
    _write_people(root, entries, toolboxes, num_models, verified)
    _write_projects(root / "simple", [each for each in entries if each.label is None], to_root="../../")
    for backend in sorted({each.label for each in entries if each.label and each.label == each.backend}):
        chosen = [each for each in entries if each.label == each.backend == backend or _serves_all(each)]
        _write_projects(root / "whl" / backend, chosen, to_root="../../../")


def _write_people(
    root: Path,
    entries: Sequence[Entry],
    toolboxes: Mapping[str, Mapping[str, Any]],
    num_models: Mapping[str, int],
    verified: Verified,
) -> None:
    page = people.start_page(toolboxes=toolboxes, files=entries, zoos=num_models, verified=verified)
    write(root / "index.html", page)
    write(root / "page" / "data" / "index.js", people.index_data(toolboxes, entries, num_models))
    for name in people.PAGES:
        copy_anew(people.STATIC / name, root / name)
    for name in people.ASSETS:
        copy_anew(people.STATIC / name, root / "page" / name)


def unlisted(entries: Iterable[Entry]) -> list[str]:
    """Return the names of wheels that pip and uv do not see: their version has a label that is no backend."""
    return [each.filename for each in entries if each.label is not None and each.label != each.backend]


def _serves_all(entry: Entry) -> bool:
    return entry.label is None and entry.is_pure


def _write_projects(folder: Path, files: Iterable[Entry], *, to_root: str) -> None:
    projects = {project: list(group) for project, group in groupby(files, key=lambda file: file.project)}
    write(folder / "index.html", pages.projects_html(projects))
    write(folder / "index.json", pages.projects_json(projects))
    for project, group in projects.items():
        write(folder / project / "index.html", pages.project_html(project, group, to_root))
        write(folder / project / "index.json", pages.project_json(project, group, to_root))


def write_zoos(root: Path, zoos: Iterable[Zoo]) -> None:
    """Write zoo/<toolbox>.json and the files that the models name."""
    for zoo in zoos:
        write(root / "zoo" / f"{zoo.plugin}.json", pages.to_json(zoo.document, many="models"))
        write(root / "page" / "data" / f"zoo-{zoo.plugin}.js", people.zoo_data(zoo.plugin, zoo.document))
        for inside, source in zoo.files:
            copy(source, root / inside)


def link_tree(source: Path, target: Path) -> None:
    """Give every file below `source` a second name below `target`."""
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        make_folder(place)
        for name in names:
            link(f"{folder}/{name}", f"{place}/{name}")


def write(path: Path, text: str) -> None:
    """Write a text file anew, never into a file that another tree holds too."""
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that is not there yet."""
    make_folder(path.parent)
    path.write_bytes(data)
    path.chmod(0o644)


def copy_anew(source: Path, target: Path) -> None:
    """Copy a file's contents, in the place of what another tree may hold too."""
    target.unlink(missing_ok=True)
    copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy a file's contents, and nothing else of it."""
    make_folder(target.parent)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def link(source: str, target: str) -> None:
    """Give a file of an index its place in a folder of another tree: a second link, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        copy(Path(source), Path(target))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, readable by all."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
