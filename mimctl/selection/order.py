"""Which of two files is newer, and which build of one version suits better; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from mimctl.environment.model import Environment
from mimctl.index.model import IndexFile
from mimctl.selection.tags import tag_ranks

if TYPE_CHECKING:
    from packaging.version import Version

VersionKey: TypeAlias = "tuple[int, Version]"
"""Orders versions: finished releases after pre-releases, and what is no version before all."""


def public_version(version: str) -> str:
    """Return a version without its local label: `0.3.0+cu13` → `0.3.0`."""
    return version.partition("+")[0]


@lru_cache(maxsize=1 << 16)
def parse_version(text: str) -> Version | None:
    """Return the version that a text is, None where it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def group_by_version(files: Iterable[IndexFile]) -> list[list[IndexFile]]:
    """Return the files of each public version, the greatest first; 1.0 and 1.0.0 are one."""
    by_text: dict[str, list[IndexFile]] = {}
    for file in files:
        text = file.version
        if "+" in text:
            text = text.partition("+")[0]
        group = by_text.get(text)
        if group is None:
            by_text[text] = [file]
        else:
            group.append(file)
    by_key: dict[VersionKey, list[IndexFile]] = {}
    for text, group in by_text.items():
        by_key.setdefault(_key(text), []).extend(group)
    return [by_key[key] for key in sorted(by_key, reverse=True)]


def _key(text: str) -> VersionKey:
    parsed = parse_version(text)
    if parsed is None:
        from packaging.version import Version

        return 0, Version("0")
    return (1 if parsed.is_prerelease else 2), parsed


def build_rank(env: Environment, file: IndexFile) -> tuple[object, ...]:
    """Order the fitting files of one public version; the greatest is the best.

    Ours: compiled before pure Python, torch's own CUDA major, the most specific tag, the greatest build number. Of
    others the label that torch has, then the greatest label (PEP 440), then tag and build number as pip has it;
    withdrawn ones last.
    """
    ranks = tag_ranks(env)
    tag = -min((ranks[tag] for tag in file.tags if tag in ranks), default=len(ranks))
    build, torch = file.build, env.torch.value
    number = build_number(file.filename)
    if build is None:
        label = file.version.partition("+")[2]
        is_torchs = bool(label) and torch is not None and label == torch.label
        return (0, file.yanked is None, is_torchs, _local(file.version), tag, number, file.filename)
    is_own_major = build.is_compiled and torch is not None and build.cuda_major == torch.cuda_major
    return (1, build.is_compiled, is_own_major, tag, number, "+" in file.version, file.filename)


def build_number(filename: str) -> tuple[int, str]:
    """Return the build tag of a wheel's name as it is ordered: `a-1.0-2b-py3-none-any.whl` → (2, "b")."""
    parts = filename.removesuffix(".whl").split("-")
    match = re.match(r"(\d+)(.*)", parts[2]) if len(parts) == 6 else None
    return (int(match[1]), match[2]) if match else (-1, "")


def _local(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return a local label as it is ordered (PEP 440): parts of digits by number and after those of letters."""
    label = version.partition("+")[2]
    parts = re.split(r"[._-]", label.lower()) if label else []
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)
