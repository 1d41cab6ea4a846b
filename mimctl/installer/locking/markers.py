"""Which of a lock's environments an entry is for, as a marker (PEP 508, PEP 751) that any installer reads (pure).

What installers can see by themselves (system, machine, Python) becomes a marker of the environment. What they cannot
(CUDA, a driver, glibc) becomes a dependency group: `'cu13' in dependency_groups`. Where a lock covers several groups
of one platform, the first of them is in the group `default` too, which is what an installer takes that is told of none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mimctl.installer.locking.cells import Cell

DEFAULT_GROUP = "default"


def environment_markers(cells: Iterable[Cell]) -> list[str]:
    """Return one marker for each platform and Python that a lock covers."""
    return sorted({f"{_platform_marker(cell)} and {_python_marker(cell)}" for cell in cells})


def groups_of(cells: Sequence[Cell]) -> list[str]:
    """Return the dependency groups that tell environments of one platform and Python apart, none where none do."""
    return sorted({cell.group for cell in cells if len(_siblings(cell, cells)) > 1})


def active_groups(cell: Cell, cells: Sequence[Cell]) -> frozenset[str]:
    """Return the dependency groups that are to be on in an environment of a lock."""
    siblings = _siblings(cell, cells)
    if len(siblings) == 1:
        return frozenset()
    return frozenset({cell.group, DEFAULT_GROUP}) if siblings[0] == cell else frozenset({cell.group})


def marker_for(some: Sequence[Cell], cells: Sequence[Cell]) -> str | None:
    """Return the marker that holds in `some` of the environments `cells` of a lock and in no other, None for all."""
    if set(map(_identity, some)) == set(map(_identity, cells)):
        return None
    return _cover(list(some), cells)


def _cover(some: list[Cell], cells: Sequence[Cell]) -> str:
    """Return a marker: a conjunction where `some` is all that has its platforms, Pythons and groups; else branches."""
    conjunction = _conjunction(some, cells)
    if conjunction is not None:
        return conjunction
    for key in (_platform, _python, lambda cell: cell.group):
        values = sorted(set(map(key, some)))
        if len(values) > 1:
            return " or ".join(_cover([cell for cell in some if key(cell) == value], cells) for value in values)
    raise AssertionError("two environments of a lock are the same")


def _conjunction(some: Sequence[Cell], cells: Sequence[Cell]) -> str | None:
    left: Sequence[Cell] = cells
    parts: list[list[str]] = []
    for key, words in ((_platform, _platform_marker), (_python, _python_marker)):
        wanted = set(map(key, some))
        narrowed = [cell for cell in left if key(cell) in wanted]
        if len(narrowed) < len(left):
            parts.append(sorted(set(map(words, some))))
            left = narrowed
    chosen = set(map(_identity, some))
    if len(left) > len(chosen):
        groups = frozenset[str]().union(*(active_groups(cell, cells) for cell in some))
        left = [cell for cell in left if active_groups(cell, cells) & groups]
        names = sorted(groups, key=lambda name: (name == DEFAULT_GROUP, name))
        parts.append([f"'{name}' in dependency_groups" for name in names])
    if set(map(_identity, left)) != chosen:
        return None
    texts = [" or ".join(each) for each in parts]
    return " and ".join(f"({each})" if " or " in each and len(texts) > 1 else each for each in texts)


def _siblings(cell: Cell, cells: Iterable[Cell]) -> list[Cell]:
    return [each for each in cells if _platform(each) == _platform(cell) and each.minor == cell.minor]


def _identity(cell: Cell) -> tuple[str, str, str]:
    return (_platform(cell), cell.minor, cell.group)


def _platform(cell: Cell) -> str:
    return str(cell.platform)


def _python(cell: Cell) -> str:
    return cell.minor


def _platform_marker(cell: Cell) -> str:
    return f"sys_platform == '{cell.platform.system}' and platform_machine == '{cell.platform.machine}'"


def _python_marker(cell: Cell) -> str:
    return f"python_version == '{cell.minor}'"
