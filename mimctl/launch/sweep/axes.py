"""Axes of a sweep: from what people type to the points that are trained."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimctl.errors import UsageError
from mimctl.launch.experiments.experiment import parse_overrides


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An interval that values are drawn from, both ends included; whole numbers where both ends are."""

    low: int | float
    high: int | float
    is_log: bool = False
    """Whether each order of magnitude is as likely as the next."""

    @property
    def is_whole(self) -> bool:
        """Return whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.is_log else ''}"


Axis = Sequence[Any] | Range
"""The values that something takes in turn, or an interval."""
Axes = Mapping[str, Axis]
"""Path in the config → what it takes."""
Point = Mapping[str, Any]
"""Path in the config → one value of it."""

MAX_TRIALS = 10_000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(\w*))?", re.ASCII)


def read_grid(texts: Sequence[str]) -> dict[str, Axis]:
    """Return the axes of `path=v1,v2,…` and `path=low..high`; values are read as those of `--cfg-options` are.

    Raises UsageError[bad-grid] where a text has no path or no value, a path comes twice, or a range is none.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not path.strip() or not values.strip():
            raise UsageError(
                f"`--grid {text}` names no values",
                code="bad-grid",
                hints=["as in `--grid optim_wrapper.optimizer.lr=0.01,0.02`"],
            )
        path = path.strip()
        _add(axes, path, read_range(path, values) or parse_overrides((f"{path}=[{values}]",))[path])
    return axes


def read_range(path: str, text: str) -> Range | None:
    """Return what `low..high` or `low..high:log` means, None where the text is no range.

    Raises UsageError[bad-grid] where the ends are not in order, or a logarithm has none.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    low, high = map(_number, found.group(1, 2))
    form = found.group(3)
    wrong = None
    if form not in (None, "log"):
        wrong = f"`:{form}` is no form of a range; there is `:log`"
    elif not (math.isfinite(low) and math.isfinite(high) and low < high):
        wrong = "its first end has to be below its second"
    elif form and low <= 0:
        wrong = "on a logarithmic scale both ends are above 0"
    if wrong is not None:
        raise UsageError(f"`{path}={text.strip()}` is no range", code="bad-grid", causes=[wrong])
    return Range(low=low, high=high, is_log=form == "log")


def read_search_args(text: str) -> dict[str, Axis]:
    """Return the axes of mim's `--search-args`: `--path v1 v2 --other v3`, or `--path=v1`."""
    typed: dict[str, list[str]] = {}
    path = None
    try:
        words = shlex.split(text)
    except ValueError as err:
        raise UsageError("`--search-args` is not quoted as a shell would read it", causes=[str(err)]) from err
    for word in words:
        if word.startswith("--"):
            path, _, first = word[2:].partition("=")
            _add(typed, path, [first] if first else [])
        elif path is None:
            raise UsageError(
                f"`--search-args` begins with `{word}`, not with a path",
                code="bad-grid",
                hints=["as in `--search-args '--optim_wrapper.optimizer.lr 1e-3 1e-4'`"],
            )
        else:
            typed[path].append(word)
    empty = [path for path, values in typed.items() if not values]
    if empty:
        raise UsageError(f"`--{empty[0]}` of `--search-args` has no values", code="bad-grid")
    return {path: _range_of(path, values) or [*map(_value, values)] for path, values in typed.items()}


def points(axes: Axes) -> list[dict[str, Any]]:
    """Return the product of the axes, the last one moving fastest.

    Raises UsageError[bad-grid] for none, for too many, and for a range, which has no end of points.
    """
    number = 1
    for path, values in axes.items():
        if isinstance(values, Range):
            raise UsageError(
                f"`{path}={values}` is a range: a grid wants each value",
                code="bad-grid",
                hints=["draw from it: `--sampler random --trials 20`", f"as text: `--grid '{path}=\"{values}\"'`"],
            )
        number *= len(values)
    _require_axes(axes)
    if number > MAX_TRIALS:
        raise UsageError(f"the grid has {number:,} points, more than {MAX_TRIALS:,}", code="bad-grid")
    lists = [list(values) for values in axes.values() if not isinstance(values, Range)]
    return [dict(zip(axes, each, strict=True)) for each in itertools.product(*lists)]


def covering(axes: Axes) -> list[dict[str, Any]]:
    """Return a few points in which each value of each axis is met, and both ends of each range."""
    _require_axes(axes)
    lists = [[axis.low, axis.high] if isinstance(axis, Range) else list(axis) for axis in axes.values()]
    number = max(map(len, lists))
    return [dict(zip(axes, (each[n % len(each)] for each in lists), strict=True)) for n in range(number)]


def _require_axes(axes: Axes) -> None:
    if not axes:
        raise UsageError("a sweep needs an axis", code="bad-grid", hints=["`--grid PATH=VALUE,VALUE`"])


def _add(axes: dict[str, Any], path: str, values: Axis) -> None:
    if path in axes:
        raise UsageError(f"`{path}` stands twice in the grid", code="bad-grid")
    axes[path] = values


def _range_of(path: str, words: Sequence[str]) -> Range | None:
    return read_range(path, words[0]) if len(words) == 1 else None


def _value(word: str) -> Any:
    return parse_overrides((f"value={word}",))["value"]


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)
