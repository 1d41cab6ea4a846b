"""Tables on terminals that are narrower than they are: what matters least is left out."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.cli.result import Line, table

GAP = 2
LEAST = 8
"""No column is cut to less."""


def narrow_table(
    rows: Sequence[Sequence[str]], head: Sequence[str], *, width: int | None, spare: Sequence[str]
) -> list[Line]:
    """Return a table of at most `width` columns of a terminal (None: as wide as it is).

    Columns are left out in the order of `spare`, then the widest one is cut in its middle.
    """
    cells = [list(head), *([*map(str, row)] for row in rows)]
    if width is not None and rows:
        for name in spare:
            if _width(cells) <= width:
                break
            place = cells[0].index(name)
            cells = [[*row[:place], *row[place + 1 :]] for row in cells]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        place = widths.index(max(widths))
        most = max(widths[place] - max(0, _width(cells) - width), LEAST)
        cells = [[*row[:place], _cut(row[place], most), *row[place + 1 :]] for row in cells]
    return table(cells[1:], head=cells[0]) if rows else []


def _width(cells: Sequence[Sequence[str]]) -> int:
    columns = list(zip(*cells, strict=True))
    return sum(max(map(len, column)) for column in columns) + GAP * (len(columns) - 1)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    front = (most - 1) // 2
    return f"{text[:front]}…{text[len(text) - (most - 1 - front) :]}"
