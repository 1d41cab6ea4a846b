"""A dumped config loads back to the same value, or dumping says what the format cannot carry."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mimctl.config import Config, LazyReference
from mimctl.config.writing.dump_plain import to_json, to_yaml
from mimctl.errors import ConfigError

TEMPLATES = ["{{ fileDirname }}", "{{ _base_.x }}", "{{$HOME:x}}", 'it\'s "{{ fileBasename }}"', "{{{ fileExtname }}"]
ODD = [
    "a\nb\\",
    " lead",
    "trail ",
    "yes",
    "1",
    "1e3",
    "null",
    "~",
    "<<",
    "=",
    "2024-01-02",
    "0x1f",
    "1_000",
    "#",
    "- a",
    "a: b",
]
ODD += [
    "\x85",
    "\u2028x",
    "\t",
    "\r\n",
    "\0",
    "😀",
    "'''",
    '"""',
    "!import a.b",
    "*a",
    "&a",
    "%",
    "@",
    "`",
    "long " * 60,
]
TEXT = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.sampled_from(ODD))
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**200), 2**200), st.floats())
PLAIN = st.one_of(st.none(), NUMBERS, TEXT)
REFERENCES = st.sampled_from(
    [
        LazyReference("torch.nn", "SiLU"),
        LazyReference("other", "SiLU"),
        LazyReference("os.path"),
        LazyReference(".near", "A"),
        LazyReference("a.range", "dict"),
    ]
)
NAMES = st.sampled_from(["model", "a", "SiLU", "dict", "list", "float", "_x", "os", "path", "read_base"])
TEXT_KEYS = st.one_of(st.sampled_from(["type", "a", "class", "a-b", "", "SiLU", "__debug__", "_delete_", "0"]), TEXT)
ANY_KEYS = st.one_of(TEXT_KEYS, st.none(), NUMBERS.filter(lambda key: key == key), st.tuples(st.integers(0, 3), TEXT))


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any], *, tuples: bool) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        kinds = [st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)]
        kinds += [st.lists(inner, max_size=3).map(tuple), st.sets(st.integers(0, 9))] if tuples else []
        return st.one_of(kinds)

    return st.recursive(leaves, grow, max_leaves=20)


IN_JSON = nested(PLAIN, TEXT_KEYS, tuples=False)
IN_YAML = nested(PLAIN | REFERENCES, ANY_KEYS, tuples=True)
HALF_PAIRS = st.text(max_size=3)
IN_PYTHON = nested(
    PLAIN | REFERENCES | HALF_PAIRS | st.sampled_from([*TEMPLATES, range(3), range(1, 9, 2)]),
    ANY_KEYS | st.sampled_from(TEMPLATES),
    tuples=True,
)


def exact(value: Any) -> Any:
    """Return a value as something that equals only what has the same types, signs and order of keys all through."""
    if isinstance(value, dict):
        return ("dict", [(exact(key), exact(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [exact(item) for item in value])
    if isinstance(value, set):
        return ("set", sorted(map(repr, value)))
    return (type(value).__name__, repr(value))


def not_a_reference(value: Any) -> bool:
    return not isinstance(value, LazyReference)


@settings(max_examples=200, deadline=None)
@example({"model": {"\N{MASCULINE ORDINAL INDICATOR}": None}})
@example({"model": {"x": "{{{ fileExtname }}"}})
@given(st.dictionaries(NAMES, IN_PYTHON.filter(not_a_reference), max_size=4))
def test_python_text_loads_back_equal(values: dict[str, object]) -> None:
    config = Config(values)
    assert exact(Config.fromstring(config.pretty_text, ".py").to_dict()) == exact(config.to_dict())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXT_KEYS, IN_YAML, max_size=4))
def test_yaml_text_loads_back_equal(values: dict[str, object]) -> None:
    config = Config(values)
    assert exact(Config.fromstring(to_yaml(config.to_dict()), ".yaml").to_dict()) == exact(config.to_dict())
    assert exact(Config.fromstring(to_yaml(dict(config)), ".yaml").to_dict()) == exact(config.to_dict())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(TEXT_KEYS, nested(PLAIN | HALF_PAIRS, TEXT_KEYS, tuples=False), max_size=4))
def test_json_text_loads_back_equal(values: dict[str, object]) -> None:
    config = Config(values)
    assert exact(Config.fromstring(to_json(config.to_dict()), ".json").to_dict()) == exact(config.to_dict())


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(TEXT_KEYS | st.just("_base_"), IN_PYTHON, max_size=3), st.sampled_from([".py", ".yaml", ".json"])
)
def test_nothing_is_lost_without_an_error(values: dict[str, object], suffix: str) -> None:
    config = Config(values)
    write: dict[str, Callable[[Any], str]] = {".yaml": to_yaml, ".json": to_json}
    try:
        text = write[suffix](config.to_dict()) if suffix in write else config.pretty_text
    except ConfigError as err:
        assert err.code == "config-format"
        return
    assert exact(Config.fromstring(text, suffix).to_dict()) == exact(config.to_dict())


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".yml", ".json"])
def test_each_format_writes_a_file_that_loads_back(tmp_path: Path, suffix: str) -> None:
    config = Config({"a": {"b": [1, 2.5, None, True, "x"], "c": {}}, "long": [{"k": "v" * 40}] * 4, "n": [math.inf]})
    path = tmp_path / f"out{suffix}"
    config.dump(path)
    assert Config.fromfile(path) == config
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_without_a_file_the_text_is_returned(tmp_path: Path) -> None:
    assert Config({"a": (1,)}).dump() == "a = (1,)\n"
    (tmp_path / "a.yaml").write_text("a: [1]")
    assert Config.fromfile(tmp_path / "a.yaml").dump() == "a:\n- 1\n"


SCALE = {"pipeline": [{"type": "Resize", "scale": (640, 640)}]}


@pytest.mark.parametrize(
    ("values", "suffix", "message"),
    [
        (SCALE, ".json", "JSON cannot carry `pipeline.0.scale`: a tuple has no form there"),
        ({"a": {1: 2}}, ".json", "JSON cannot carry `a.1`: its keys are text, and this one is a int"),
        ({"a": {1, 2}}, ".json", "JSON cannot carry `a`: a set has no form there"),
        ({"a": {"type": LazyReference("m", "C")}}, ".json", "JSON cannot carry `a.type`: a LazyReference has no form"),
        ({"a": ["{{ fileBasename }}"]}, ".json", "JSON cannot carry `a.0`: loading it would fill in"),
        ({"a": ["{{ fileBasename }}"]}, ".yaml", "YAML cannot carry `a.0`: loading it would fill in"),
        ({"a": "\ud800"}, ".yaml", "YAML cannot carry `a`: half of a surrogate pair"),
        ({"a": range(3)}, ".yaml", "YAML cannot carry `a`: a range has no form there"),
        ({"_base_": "x.py"}, ".yaml", "YAML cannot carry `_base_`: loading it would look for a base"),
        ({"_base_": "x.py"}, ".py", "Python cannot carry `_base_`: loading it would look for a base"),
        ({"a-b": 1}, ".py", "Python cannot carry `a-b`: this cannot be a name"),
        ({"__a": 1}, ".py", "Python cannot carry `__a`: this cannot be a name"),
        ({"class": 1}, ".py", "Python cannot carry `class`: this cannot be a name"),
        ({"a": LazyReference("m", "C")}, ".py", "Python cannot carry `a`: an import by itself"),
        ({"a": [LazyReference("m.2", "C")]}, ".py", r"Python cannot carry `a\.0`: `m\.2\.C` is no name of a module"),
        ({"range": 1, "a": range(3)}, ".py", "Python cannot carry `range`: a range cannot be written beside it"),
        ({"a": b"x"}, ".py", "Python cannot carry `a`: a bytes has no form there"),
        ({"a": 2**300}, ".py", "Python cannot carry `a`: no config may hold an integer as large"),
        ({"a": frozenset()}, ".py", "Python cannot carry `a`: a frozenset has no form there"),
        ({"a": 1}, ".toml", "can be written as"),
    ],
)
def test_what_a_format_cannot_carry_is_named(values: dict[str, Any], suffix: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    with pytest.raises(ConfigError, match=message) as caught:
        Config(values).dump(path)
    assert caught.value.code == "config-format"
    assert not path.exists()


def test_all_that_a_format_cannot_carry_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        to_json({"a": [(i,) for i in range(7)]})
    assert caught.value.causes == (
        *(f"also `a.{i}`: a tuple has no form there" for i in range(1, 5)),
        "and 2 more",
    )
    assert caught.value.hints == ("dump it as `.py` or `.yaml`, which can carry more",)


def test_yaml_says_what_it_has_no_words_for_by_tags() -> None:
    text = to_yaml({"scale": (640, 640), "type": LazyReference("torch.nn", "SiLU"), "s": {2, 1}})
    assert text.splitlines() == [
        "scale: !!python/tuple [640, 640]",
        "type: !import 'torch.nn.SiLU'",
        "s: !!set",
        "  1: null",
        "  2: null",
    ]


def test_long_values_are_broken_into_readable_lines() -> None:
    text = Config({"pipeline": [{"type": f"Transform{i}", "scale": (640, 640)} for i in range(4)]}).pretty_text
    assert text.splitlines()[:2] == ["pipeline = [", "    dict(type='Transform0', scale=(640, 640)),"]
    assert max(map(len, text.splitlines())) <= 110
