"""Found models as people read them: a table, or below their names where a terminal is too narrow for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mimctl.cli.result import Line, Styled, table

if TYPE_CHECKING:
    from mimctl.zoo.rows import Row
    from mimctl.zoo.search import Found

_GAP = 2
_LEAST = 20
"""Columns that words get on the narrowest terminal."""
_HELD = "\N{NO-BREAK SPACE}"
_SPEAKING = ("model", "package", "published")
"""Columns whose cells need no name before them."""


def table_of(found: Found, *, asked: bool, width: int | None) -> list[Line]:
    """Return the fields that were asked for, or those that conditions and order look at and the figures.

    `width` is the terminal's, in columns; None is none, where nothing is wrapped.
    """
    head, rows = _cells(found, asked=asked)
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    if width is None or sum(widths) + _GAP * (len(widths) - 1) <= width:
        return table(rows, head=head)
    return [line for cells in rows for line in _below(head, cells, width)]


def blocks_of(found: Found) -> list[Line]:
    """Return each model's name, and below it a line for each of its fields."""
    lines: list[Line] = []
    for row in found.rows:
        stated = {name: value for name in found.fields if (value := row.value(name)) is not None}
        lines += [row.id, *(f"  {name}  {show(value)}" for name, value in stated.items())]
    return lines


def show(value: object) -> str:
    """Return a field's value as a person reads it, whole and on one line."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(show(each) for each in value)
    return " ".join(str(value).split())


def _cells(found: Found, *, asked: bool) -> tuple[list[str], list[list[str]]]:
    packages = {row.package for row in found.rows}
    columns = [*(found.fields if asked else ("model",)), *(found.used if not asked else ())]
    columns = [name for name in dict.fromkeys(columns) if name not in ("id", "package") or asked]
    columns = [name for name in columns if any(row.value(name) is not None for row in found.rows)]
    rows = []
    for row in found.rows:
        cells = [row.id, *([row.package] if len(packages) > 1 else []), *(show(row.value(name)) for name in columns)]
        rows.append(cells if asked else [*cells, _figures(row, columns)])
    head = ["name", *(["package"] if len(packages) > 1 else []), *columns, *([] if asked else ["published"])]
    if not asked and not any(cells[-1] for cells in rows):
        rows, head = [cells[:-1] for cells in rows], head[:-1]
    return head, rows


def _figures(row: Row, columns: Sequence[str]) -> str:
    names = [name for name in row.fields if "/" in name and name not in columns and "(" not in name]
    return ", ".join(f"{name} {show(row.fields[name])}" for name in names)


def _below(head: Sequence[str], cells: Sequence[str], width: int) -> list[Line]:
    """Return a model's name and, below it, what the columns of the table would hold."""
    import textwrap

    stated = [cell if name in _SPEAKING else f"{name} {cell}" for name, cell in zip(head, cells, strict=True) if cell]
    held = ", ".join(stated[1:]).replace(" ", _HELD).replace(f",{_HELD}", ", ")  # a figure stays beside its name
    wrapped = textwrap.wrap(held, max(width - _GAP, _LEAST), break_long_words=False, break_on_hyphens=False)
    return [Styled(cells[0], "bold"), *(f"  {line.replace(_HELD, ' ')}" for line in wrapped)]
