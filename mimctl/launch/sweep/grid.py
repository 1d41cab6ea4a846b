"""Axes of a sweep: from what people type to the points of their product."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.errors import UsageError
from mimctl.launch.experiment import parse_overrides

Axes = Mapping[str, Sequence[Any]]
"""Path in the config → the values that it takes in turn."""

MAX_TRIALS = 10_000


def read_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return the axes of `path=v1,v2,…`; values are read as those of `--cfg-options` are.

    Raises UsageError[bad-grid] where a text has no path or no value, or a path comes twice.
    """
    axes: dict[str, list[Any]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not path.strip() or not values.strip():
            raise UsageError(
                f"`--grid {text}` names no values",
                code="bad-grid",
                hints=["as in `--grid optim_wrapper.optimizer.lr=0.01,0.02`"],
            )
        _add(axes, path.strip(), parse_overrides((f"{path.strip()}=[{values}]",))[path.strip()])
    return axes


def read_search_args(text: str) -> dict[str, list[Any]]:
    """Return the axes of mim's `--search-args`: `--path v1 v2 --other v3`, or `--path=v1`."""
    axes: dict[str, list[Any]] = {}
    path = None
    try:
        words = shlex.split(text)
    except ValueError as err:
        raise UsageError("`--search-args` is not quoted as a shell would read it", causes=[str(err)]) from err
    for word in words:
        if word.startswith("--"):
            path, _, first = word[2:].partition("=")
            _add(axes, path, [_value(first)] if first else [])
        elif path is None:
            raise UsageError(
                f"`--search-args` begins with `{word}`, not with a path",
                code="bad-grid",
                hints=["as in `--search-args '--optim_wrapper.optimizer.lr 1e-3 1e-4'`"],
            )
        else:
            axes[path].append(_value(word))
    empty = [path for path, values in axes.items() if not values]
    if empty:
        raise UsageError(f"`--{empty[0]}` of `--search-args` has no values", code="bad-grid")
    return axes


def points(axes: Axes) -> list[dict[str, Any]]:
    """Return the product of the axes, the last one moving fastest; raise UsageError[bad-grid] for none or too many."""
    number = 1
    for values in axes.values():
        number *= len(values)
    if not axes:
        raise UsageError("a sweep needs an axis", code="bad-grid", hints=["`--grid PATH=VALUE,VALUE`"])
    if number > MAX_TRIALS:
        raise UsageError(f"the grid has {number:,} points, more than {MAX_TRIALS:,}", code="bad-grid")
    return [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]


def _add(axes: dict[str, list[Any]], path: str, values: list[Any]) -> None:
    if path in axes:
        raise UsageError(f"`{path}` stands twice in the grid", code="bad-grid")
    axes[path] = list(values)


def _value(word: str) -> Any:
    return parse_overrides((f"value={word}",))["value"]
