"""Where a value came from, file by file."""

from __future__ import annotations

import pytest

from mimctl.config import Config
from mimctl.config.writing.history import History


@pytest.fixture
def history(tmp_path):
    (tmp_path / "base.py").write_text("a = dict(x=1, y=[dict(z=1)])\ngone = 1\nsame = 2\n")
    (tmp_path / "mid.yaml").write_text("_base_: base.py\na:\n  x: 2\n")
    (tmp_path / "mine.py").write_text("_base_ = './mid.yaml'\na = dict(x=3)\nd = dict(_delete_=True, k=1)\n")

    def make(overrides=None):
        return History(Config.fromfile(tmp_path / "mine.py", overrides=overrides))

    return make


def steps(history, path):
    return [(step.value, step.origin.file.rpartition("/")[2], step.origin.line) for step in history.of(path)]


def test_each_file_that_set_a_value_is_told_the_first_one_first(history):
    assert steps(history(), "a.x") == [(1, "base.py", 1), (2, "mid.yaml", 3), (3, "mine.py", 2)]
    assert steps(history(), "same") == [(2, "base.py", 3)]
    assert steps(history(), "d.k") == [(1, "mine.py", 3)]


def test_the_command_line_comes_last(history):
    found = history({"a.x": 9, "a.y.0.z": 5})
    assert steps(found, "a.x")[-1] == (9, "--cfg-options", None)
    assert steps(found, "a.y.0.z") == [(1, "base.py", 1), (5, "--cfg-options", None)]


def test_what_was_removed_is_known_to_have_been_there(history, tmp_path):
    (tmp_path / "mine.py").write_text("_base_ = './mid.yaml'\na = dict(_delete_=True, w=1)\n")
    found = history()
    assert found.is_gone("a.x")
    assert steps(found, "a.x") == [(1, "base.py", 1), (2, "mid.yaml", 3)]
    assert found.of("nothing") == []
