"""What is asked of a bundle, checked before anything is fetched: it has to bring mimctl, and may replace no folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.bundling.install import is_bundle
from mimctl.errors import MimctlError, UsageError
from mimctl.index.filenames import normalise
from mimctl.resolution.names import PREFIX

if TYPE_CHECKING:
    from mimctl.index.model import Index
    from mimctl.installer.locking.lockfile import Contents

ALWAYS = (PREFIX, "packaging>=26")
"""What every bundle has: it installs itself, and reads its lock."""


def with_necessities(names: Sequence[str]) -> list[str]:
    """Return what is asked for together with what every bundle has, unless it is named already."""
    named = {_project(name) for name in names}
    return [*names, *(each for each in ALWAYS if _project(each) not in named)]


def check_served(names: Sequence[str], index: Index | None) -> None:
    """Raise MimctlError[bundle-without-mimctl] where neither an index nor a wheel that was named brings mimctl."""
    if PREFIX in {_project(name) for name in names} or (index is not None and PREFIX in index.projects):
        return
    raise MimctlError(
        "nothing brings mimctl itself",
        code="bundle-without-mimctl",
        causes=["no named index has it" if index is not None else "no index is named"],
        hints=["name an index that has it: `--index ADDRESS`", "or its wheel beside what is to be bundled"],
    )


def check_out(out: Path) -> None:
    """Refuse to replace what is no bundle: a mistyped folder must not cost anybody one. Raises UsageError."""
    if not out.exists() or (out.is_dir() and (not any(out.iterdir()) or is_bundle(out))):
        return
    raise UsageError(
        f"`{out}` is there already and is no bundle",
        code="not-a-bundle",
        causes=["making a bundle replaces the whole folder"],
        hints=["name a new or an empty folder"],
    )


def check_has_mimctl(contents: Contents) -> None:
    without = [str(cell) for cell, files in contents.items() if PREFIX not in files]
    if without:
        raise MimctlError(
            "the lock does not hold mimctl itself",
            code="bundle-without-mimctl",
            causes=[f"not for {each}" for each in without],
            hints=["lock it too: `mimctl lock mimctl 'packaging>=26' …`", "or name what to bundle instead of `--lock`"],
        )


def _project(word: str) -> str:
    """Return the project that a word names: a requirement, or the path of a wheel."""
    last = word.rpartition("/")[2]
    name = last.partition("-")[0] if last.endswith(".whl") else re.split(r"[\s<>=!~\[;@]", last)[0]
    return normalise(name)
