"""What was found, on terminals of any width: a table where it has room, else the same facts below each name."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_site import write_catalogue

from mimctl.cli.result import Line, Styled
from mimctl.cli.search_text import table_of
from mimctl.zoo.rows import Row
from mimctl.zoo.search import Query, search

WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
ROWS = st.lists(
    st.builds(
        lambda id, model, ap: Row(
            id=id, package="det", fields={"model": model, "coco/box_ap": ap, "lvis/mask_ap": 1.5}
        ),
        id=WORD,
        model=WORD,
        ap=st.floats(0, 99).map(lambda value: round(value, 1)),
    ),
    min_size=1,
    max_size=5,
)


def texts(lines: list[Line]) -> list[str]:
    return [line.text if isinstance(line, Styled) else str(line) for line in lines]


@given(rows=ROWS, width=st.integers(30, 120))
def test_no_line_is_wider_than_the_terminal_and_nothing_is_left_out(rows: list[Row], width: int) -> None:
    found = search(rows, Query(sort=("box_ap",)))
    lines = texts(table_of(found, asked=False, width=width))
    assert max(map(len, lines)) <= width
    words = " ".join(lines).replace(",", " ").split()
    for row in rows:
        assert {row.id, str(row.value("model")), str(row.value("coco/box_ap"))} <= set(words)
    if lines[0].startswith("name  "):
        assert len(lines) == len(rows) + 1
    else:
        assert [line for line in lines if not line.startswith("  ")] == [row.id for row in found.rows]
        assert not [line for line in lines if line.endswith("_ap")], "a figure stands beside its name"


@given(rows=ROWS)
def test_where_there_is_no_terminal_it_is_always_a_table(rows: list[Row]) -> None:
    found = search(rows, Query())
    assert len(texts(table_of(found, asked=False, width=None))) == len(rows) + 1


@pytest.mark.parametrize(("width", "is_table"), [(40, False), (160, True)])
def test_the_terminals_width_decides(tmp_path: Path, width: int, is_table: bool) -> None:
    index = write_catalogue(tmp_path / "index")
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"MIMCTL_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "TERM": "xterm"}
    argv = [sys.executable, "-P", "-m", "mimctl", "search", "det", "--index", str(index), "--config", "rtmdet_"]
    done = subprocess.run(argv, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, timeout=240)
    os.close(theirs)
    lines = os.read(mine, 100_000).decode().replace("\r", "").splitlines()
    os.close(mine)
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith("name ") == is_table
    assert max(map(len, lines)) <= width
