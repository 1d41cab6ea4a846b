"""Writes a config with the files it is built on, not flattened: as its authors keep it, so that it loads anywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mimctl.config import Config
from mimctl.config.files.packages import import_name
from mimctl.config.language.parse import is_pure_python, parse_python
from mimctl.transfer import write_file
from mimctl.zoo.config_file import Written, write_text

CONFIGS = "configs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A config and its bases as they lie in a folder of one's own."""

    main: Path
    files: tuple[Path, ...]
    """All files, the bases first."""
    kept: tuple[Path, ...]
    """Those that were edited, or are not ours, and were left as they are."""
    is_new: bool
    """Whether anything was written."""


def write_tree(config: Config, dest: Path, *, source: str, by: str) -> Tree | None:
    """Copy the files of `config` below `dest`; None where it was not read from files.

    They lie in `configs/` as they do at their authors'. Where one names a base by its package (`mmdet::…`), they lie in
    `<package>/.mim/configs/`, where such a base is looked for, whichever package it is of. `source` is whose they are
    (`mmdet==3.3.0`) where their folder does not tell, `by` who copies them. An edited file is kept.
    """
    if not config.files:
        return None
    texts = {Path(file): Path(file).read_text(encoding="utf-8") for file in config.files}
    places = _places(texts)
    states: dict[Path, Written] = {}
    for file, text in texts.items():
        title = f"{places[file].name}: from the configs of {_release_of(file) or source}, copied by {by}"
        states[dest / places[file]] = _write(dest / places[file], text, title)
    return Tree(
        main=dest / places[Path(config.files[-1])],
        files=tuple(states),
        kept=tuple(path for path, state in states.items() if state == "kept"),
        is_new="new" in states.values(),
    )


def stub_of(main: Path, folder: Path) -> str | None:
    """Return the text of a config in `folder` that is built on `main` alone, None where none can be.

    A config of the pure-Python style is built on by importing it, which wants names that are identifiers.
    """
    inner = PurePosixPath(main.relative_to(folder).as_posix())
    text = main.read_text(encoding="utf-8")
    if main.suffix != ".py" or "import" not in text or not is_pure_python(parse_python(text, str(main))):
        return f"_base_ = {f'./{inner}'!r}\n"
    parts = inner.with_suffix("").parts
    if not all(part.isidentifier() for part in parts):
        return None
    return f"from mmengine.config import read_base\n\nwith read_base():\n    from .{'.'.join(parts)} import *\n"


def _places(texts: Mapping[Path, str]) -> dict[Path, Path]:
    """Return where each file goes, below the folder of all."""
    shared = Path(os.path.commonpath([file.parent for file in texts]))
    roots = {file: _root_of(file) or shared for file in texts}
    packages = {_package_of(root) for root in roots.values()}
    by_name = re.compile("|".join(["::", *(rf"\b{re.escape(each)}\.{CONFIGS}\b" for each in packages)]))
    is_one = len(packages) == 1 and not any(by_name.search(text) for text in texts.values())
    return {
        file: (Path(CONFIGS) if is_one else Path(_package_of(root)) / ".mim" / CONFIGS) / file.relative_to(root)
        for file, root in roots.items()
    }


def _root_of(file: Path) -> Path | None:
    """Return the folder `configs` that a file lies in."""
    return next((parent for parent in file.parents if parent.name == CONFIGS), None)


def _package_of(root: Path) -> str:
    """Return the package whose configs lie in `root`: `mmdet/.mim/configs`, `mmdet-3.3.0/configs`."""
    package = root.parent.parent if root.parent.name == ".mim" else root.parent
    return import_name(package.name.partition("-")[0])


def _release_of(file: Path) -> str | None:
    """Return the release whose configs the cache holds in the folder of a file: `mmdet==3.3.0` of `mmdet-3.3.0`."""
    root = _root_of(file)
    name, _, version = root.parent.name.partition("-") if root is not None else ("", "", "")
    return f"{name}=={version}" if version[:1].isdigit() else None


def _write(path: Path, text: str, title: str) -> Written:
    if path.suffix != ".json":
        return write_text(path, text, title=title, needs_trust="custom_imports" in text)
    if path.exists():
        return "same" if path.read_text(encoding="utf-8", errors="replace") == text else "kept"
    write_file(path, text.encode())
    return "new"
