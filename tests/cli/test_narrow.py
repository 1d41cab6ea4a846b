"""The list of runs on a terminal that is narrower than it."""

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

from mimctl.cli.narrow import narrow_table
from mimctl.cli.result import Styled
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.record import RunRecord

HEAD = ("run", "name", "state", "job")
WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40)


@given(
    rows=st.lists(st.tuples(st.just("abcdef"), WORD, st.just("waiting"), WORD), min_size=1), width=st.integers(25, 99)
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    lines = narrow_table(rows, HEAD, width=width, spare=["job"])
    texts = [each.text if isinstance(each, Styled) else str(each) for each in lines]
    assert len(texts) == len(rows) + 1
    assert max(map(len, texts)) <= width
    assert all(text.startswith("abcdef  ") and "waiting" in text for text in texts[1:])


@given(rows=st.lists(st.tuples(WORD, WORD, WORD, WORD)))
def test_nothing_is_left_out_where_nobody_sits_at_a_terminal(rows: list[tuple[str, ...]]) -> None:
    lines = narrow_table(rows, HEAD, width=None, spare=["job"])
    texts = [each.text if isinstance(each, Styled) else str(each) for each in lines]
    assert [tuple(text.split()) for text in texts] == ([HEAD, *rows] if rows else [])


@pytest.mark.parametrize("width", [40, 80, 200])
def test_runs_fit_the_terminal(tmp_path: Path, width: int) -> None:
    book = RunBook(tmp_path / "home" / "runs")
    for number in range(3):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        name = f"rtmdet_nano_of_my_very_own_photographs_{number}"
        book.add(
            RunRecord(
                run_id=f"abcde{number}",
                name=name,
                plugin="det",
                action="train",
                config="net.py",
                work_dir=None,
                run_dir=str(folder),
                launcher="none",
                started=1.0,
                host="elsewhere",
                argv=("python",),
            )
        )
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**environment, "MIMCTL_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "TERM": "xterm"}
    argv = [sys.executable, "-P", "-m", "mimctl", "status"]
    done = subprocess.run(argv, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, timeout=240)
    os.close(theirs)
    text = os.read(mine, 100_000).decode()
    os.close(mine)
    assert done.returncode == 0, done.stderr
    lines = text.replace("\r", "").splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert all("abcde" in line and "unknown" in line for line in lines[1:])
    assert ("rtmdet_nano_of_my_very_own_photographs_2" in text) == (width >= 80)
    assert ("started" in lines[0]) == (width == 200)
