"""A dumped config loads back to the same value."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mimctl.config import Config, LazyReference
from mimctl.errors import ConfigError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(["{{ fileDirname }}", "{{ _base_.x }}", "{{$HOME:x}}", 'it\'s "{{ fileBasename }}"', "a\nb\\"]),
    st.sampled_from([LazyReference("torch.nn", "SiLU"), LazyReference("other", "SiLU"), LazyReference("os.path")]),
)
KEYS = st.one_of(st.sampled_from(["type", "a", "class", "a-b", "", "SiLU"]), st.integers(0, 9), st.text(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=25,
)
NAMES = st.sampled_from(["model", "a", "SiLU", "dict", "list", "float", "_x", "os"])


@settings(max_examples=150, deadline=None)
@example({"model": {"\N{MASCULINE ORDINAL INDICATOR}": None}})
@given(st.dictionaries(NAMES, VALUES.filter(lambda value: not isinstance(value, LazyReference)), max_size=4))
def test_python_text_loads_back_equal(values: dict[str, object]) -> None:
    config = Config(values)
    assert Config.fromstring(config.pretty_text, ".py") == config


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_each_format_writes_a_file_that_loads_back(tmp_path: Path, suffix: str) -> None:
    config = Config({"a": {"b": [1, 2.5, None, True, "x"], "c": {}}, "long": [{"k": "v" * 40}] * 4})
    path = tmp_path / f"out{suffix}"
    config.dump(path)
    assert Config.fromfile(path) == config
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_python_keeps_what_other_formats_cannot() -> None:
    config = Config(
        {"t": (1,), "s": {1, 2}, "n": math.inf, "r": range(3), "k": {1: 2}, "type": LazyReference("m", "C")}
    )
    made = Config.fromstring(config.pretty_text)
    assert {key: value for key, value in made.items() if key != "type"} == {
        key: value for key, value in config.items() if key != "type"
    }


def test_names_that_python_cannot_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a name"):
        _ = Config({"a-b": 1}).pretty_text
    with pytest.raises(ConfigError, match="can be written as"):
        Config({"a": 1}).dump(tmp_path / "x.toml")


def test_long_values_are_broken_into_readable_lines() -> None:
    text = Config({"pipeline": [{"type": f"Transform{i}", "scale": (640, 640)} for i in range(4)]}).pretty_text
    assert text.splitlines()[:2] == ["pipeline = [", "    dict(type='Transform0', scale=(640, 640)),"]
    assert max(map(len, text.splitlines())) <= 110
