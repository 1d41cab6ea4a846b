"""Compares two configs: what was added, removed, changed and moved, by dotted path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from mimctl.config.values import LazyReference

Kind = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. `path` is where it is in the new config, of what was removed where it was in the old one.

    `old_path` is where a value was that stands at another index of its list now; else it equals `path`.
    """

    kind: Kind
    path: str
    old_path: str
    old: Any = None
    new: Any = None


def compare(old: Any, new: Any, path: str = "", old_path: str = "") -> Iterator[Difference]:
    """Yield the differences between two values in order; 1, 1.0 and True differ, as do lists and tuples.

    Items of lists are recognised by what they are: equal ones first, then those with the same `type`. An item that
    others were put before is where it was; one that passed another has moved.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inner, old_inner = _join(path, key), _join(old_path, key)
            if key not in new:
                yield Difference(kind="removed", path=old_inner, old_path=old_inner, old=old[key])
            elif key not in old:
                yield Difference(kind="added", path=inner, old_path=inner, new=new[key])
            else:
                yield from compare(old[key], new[key], inner, old_inner)
    elif _are_lists(old, new) and any(isinstance(each, (dict, list, tuple)) for each in (*old, *new)):
        yield from _compare_items(old, new, path, old_path)
    elif fingerprint(old) != fingerprint(new):
        yield Difference(kind="changed", path=path, old_path=old_path, old=old, new=new)


def fingerprint(value: Any) -> Any:
    """Return something hashable that is equal for values that are the same in a config, and for no others."""
    if isinstance(value, dict):
        return ("dict", frozenset((fingerprint(key), fingerprint(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *(fingerprint(item) for item in value))
    if isinstance(value, (set, frozenset)):
        return ("set", frozenset(fingerprint(item) for item in value))
    return (type(value).__name__, repr(value))


def _are_lists(old: Any, new: Any) -> bool:
    return type(old) is type(new) and isinstance(old, (list, tuple))


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _compare_items(old: Sequence[Any], new: Sequence[Any], path: str, old_path: str) -> Iterator[Difference]:
    pairs, moved = _pair(old, new)
    partner = {j: i for i, j in pairs}
    paired = set(partner.values())
    for i, item in enumerate(old):
        if i not in paired:
            place = _join(old_path, i)
            yield Difference(kind="removed", path=place, old_path=place, old=item)
    for j, item in enumerate(new):
        place = _join(path, j)
        if j not in partner:
            yield Difference(kind="added", path=place, old_path=place, new=item)
            continue
        old_place = _join(old_path, partner[j])
        if j in moved:
            yield Difference(kind="moved", path=place, old_path=old_place, old=old[partner[j]], new=item)
        yield from compare(old[partner[j]], item, place, old_place)


def _pair(old: Sequence[Any], new: Sequence[Any]) -> tuple[list[tuple[int, int]], set[int]]:
    """Return (old index, new index) of items that are the same thing, and the new indices of those that moved."""
    pairs: list[tuple[int, int]] = []
    _match([fingerprint(each) for each in old], [fingerprint(each) for each in new], pairs)
    for i, i_end, j, j_end in _gaps(pairs, len(old), len(new)):
        inner: list[tuple[int, int]] = []
        _match([_label(each) for each in old[i:i_end]], [_label(each) for each in new[j:j_end]], inner)
        pairs += [(i + a, j + b) for a, b in inner]
    moved: set[int] = set()
    for key in (fingerprint, _label):
        left = set(range(len(old))) - {i for i, _ in pairs}
        for j in sorted(set(range(len(new))) - {j for _, j in pairs}):
            found = next((i for i in sorted(left) if _known(key(old[i])) and key(old[i]) == key(new[j])), None)
            if found is not None:
                left.remove(found)
                pairs.append((found, j))
                moved.add(j)
    return sorted(pairs), moved


def _match(old: list[Any], new: list[Any], pairs: list[tuple[int, int]]) -> None:
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        steps = range(block.size)
        pairs += [(block.a + step, block.b + step) for step in steps if _known(old[block.a + step])]


def _gaps(pairs: list[tuple[int, int]], old: int, new: int) -> list[tuple[int, int, int, int]]:
    """Return the stretches (old start, end, new start, end) between pairs."""
    ends = [(-1, -1), *sorted(pairs), (old, new)]
    return [(i + 1, i_next, j + 1, j_next) for (i, j), (i_next, j_next) in itertools.pairwise(ends)]


def _label(value: Any) -> Any:
    """Return what an item of a list is called: the `type` of a dict; an item without one is nobody's like."""
    kind = value.get("type") if isinstance(value, dict) else None
    return str(kind) if isinstance(kind, (str, LazyReference)) else None


def _known(label: Any) -> bool:
    return label is not None
