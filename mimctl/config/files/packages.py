"""Finds the configs that `package::path` names, in packages on an import path; nothing is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from mimctl.config.scopes import SCOPE_ALIASES, canonical_scope
from mimctl.errors import ConfigError, nearest

_MODULES = {"mmsegmentation": "mmseg", "mmaction2": "mmaction", "mmdetection": "mmdet"}
"""Distributions whose import package has another name."""


def find_in_packages(reference: str, roots: Iterable[Path]) -> Path:
    """Return the file of `package::folder/name.py` in the first of the folders `roots` whose package has it.

    The configs of a package lie in `.mim/configs` (an OpenMMLab wheel), in `configs`, or, where the package is used
    from its repository, in `configs` beside it. A package that goes by another name today is found under that. Raises
    ConfigError[config-base] with the nearest names.
    """
    name, _, inner = reference.partition("::")
    if not name.isidentifier() or not inner or ".." in PurePosixPath(inner).parts or PurePosixPath(inner).is_absolute():
        raise ConfigError(
            f"`{reference}` is no base",
            code="config-base",
            hints=["write `package::folder/name.py`, the path as it is below the package's configs"],
        )
    folders = list(_config_folders(name, roots))
    for folder in folders:
        if (folder / inner).is_file():
            return folder / inner
    if not folders:
        raise ConfigError(
            f"the base `{reference}` belongs to another toolbox, which is not installed here",
            code="config-base",
            hints=[f"install it: `mimctl install {name}`"],
        )
    there = {str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*.py")}
    raise ConfigError(
        f"the configs of `{name}` have no `{inner}`",
        code="config-base",
        causes=[f"looked in {folder}" for folder in folders],
        hints=[f"did you mean `{name}::{each}`?" for each in nearest(inner, there, most=1)],
    )


def find_module(module: str, roots: Iterable[Path]) -> Path | None:
    """Return the source file of a dotted module below the first of `roots` that has it; nothing is imported."""
    inner = PurePosixPath(*module.split(".")).with_suffix(".py")
    return next((root / inner for root in roots if (root / inner).is_file()), None)


def import_path(file: str) -> list[Path]:
    """Return where packages are looked for: beside the one that `file` is a config of, then on this import path."""
    return [*beside(file), *(Path(each or os.curdir) for each in sys.path)]


def beside(file: str) -> list[Path]:
    """Return the folder of the package that `file` is a config of, as in an unpacked wheel; none for other files."""
    return [parent.parent.parent for parent in Path(file).absolute().parents if parent.name == ".mim"]


def import_name(distribution: str) -> str:
    """Return the import package of a distribution: `mmseg` for `mmsegmentation`, else the same name."""
    return _MODULES.get(distribution, distribution)


def names_of(name: str) -> list[str]:
    """Return the import packages that may be meant, the one that bears the name first."""
    module = import_name(name)
    scope = canonical_scope(module)
    kin = [each for each, of in SCOPE_ALIASES.items() if of == scope] if module in SCOPE_ALIASES else []
    return list(dict.fromkeys([module, *kin, f"mimctl_{scope}"]))


def _config_folders(name: str, roots: Iterable[Path]) -> Iterator[Path]:
    seen = set()
    for root in roots:
        for package in names_of(name):
            place = root / package
            if place in seen or not place.is_dir():
                continue
            seen.add(place)
            candidates = [place / ".mim" / "configs", place / "configs"]
            if (place / "__init__.py").is_file() and (root / "setup.py").is_file():
                candidates.append(root / "configs")
            yield from (each for each in candidates if each.is_dir())
