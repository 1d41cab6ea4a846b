"""Late references: an override of a config's own variable reaches everything that the files make of it.

The override is applied where the variable is assigned, in every file that assigns it, while the files are evaluated
anew; what then differs is carried over to the config as it stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from mimctl.config.language.limits import Meter
from mimctl.config.overrides import apply_overrides, empties
from mimctl.config.schema import RUNNER_KEYS, TOOL_KEYS
from mimctl.config.values import ConfigDict, Place, copy_value, new_dict
from mimctl.errors import ConfigError

_SET_WHERE_THEY_STAND = (RUNNER_KEYS | TOOL_KEYS) - {"data_preprocessor"}
_ABSENT: Any = object()


def is_variable(name: str) -> bool:
    """Say whether a top-level name is a variable of the config: a run reads only what the files make of it."""
    return name not in _SET_WHERE_THEY_STAND


class LateOverrides:
    """Overrides of variables (dotted path → value), applied to each value that a file assigns to one of them."""

    __slots__ = ("by_name",)

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        self.by_name: dict[str, list[tuple[str, Any]]] = {}
        for path, value in sorted(overrides.items(), key=lambda each: not empties(each[0])):
            self.by_name.setdefault(path.partition(".")[0], []).append((path, value))

    def apply(self, name: str, value: Any, meter: Meter) -> Any:
        """Return what the variable `name` holds once a file has assigned `value` to it; `value` may be changed.

        A path into the value that this file's value does not have is passed over: another file's may have it.
        """
        holder = new_dict({name: value}, {})
        for path, wanted in self.by_name.get(name, ()):
            meter.weigh(wanted)
            if not _leads_somewhere(holder, path):
                continue
            with contextlib.suppress(ConfigError):
                apply_overrides(holder, {path: wanted})
        return holder[name]


def _leads_somewhere(holder: ConfigDict, path: str) -> bool:
    """Say whether everything but the last name of a path is there."""
    value: Any = holder
    for part in path.split(".")[:-1]:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, (list, tuple)) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return False
    return True


def follow(
    current: ConfigDict, before: ConfigDict, after: ConfigDict, *, place: Place, kept: Iterable[str], path: str = ""
) -> bool:
    """Carry what differs between two evaluations over to `current`; return whether anything was.

    What `current` holds otherwise than the first evaluation is left alone, so is what stands at the dotted paths
    `kept`: somebody set it since. What is carried over comes from `place`.
    """
    changed = False
    for key in [*before, *(key for key in after if key not in before)]:
        inner = f"{path}.{key}" if path else str(key)
        old, new, held = (each.get(key, _ABSENT) for each in (before, after, current))
        if inner in kept or _same(old, new):
            continue
        if type(old) is type(new) is type(held) is ConfigDict:
            changed |= follow(held, old, new, place=place, kept=kept, path=inner)
            continue
        if type(old) is type(new) is type(held) is list and len(old) == len(new) == len(held):
            carried = _follow_items(held, old, new, place=place, kept=kept, path=inner)
        else:
            carried = _same(held, old)
            if carried:
                dict.pop(current, key, None) if new is _ABSENT else dict.__setitem__(current, key, copy_value(new))
        if carried:
            current.mark({key: place})
        changed |= carried
    return changed


def _follow_items(
    current: list[Any], before: list[Any], after: list[Any], *, place: Place, kept: Iterable[str], path: str
) -> bool:
    changed = False
    for index, (old, new, held) in enumerate(zip(before, after, current, strict=True)):
        inner = f"{path}.{index}"
        if inner in kept or _same(old, new):
            continue
        if type(old) is type(new) is type(held) is ConfigDict:
            changed |= follow(held, old, new, place=place, kept=kept, path=inner)
        elif _same(held, old):
            current[index] = copy_value(new)
            changed = True
    return changed


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)
