"""Overrides by dotted path, and where each value of a config comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mimctl.config import Config, parse_override
from mimctl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1e-3", -0.001),
        ("true", True),
        ("None", None),
        ("word", "word"),
        ("data/coco", "data/coco"),
        ("2007_val", "2007_val"),
        ("'1'", "1"),
        ('"a,b"', "a,b"),
        ("1,2", [1, 2]),
        ("[1,[a,'b c'],(2,)]", [1, ["a", "b c"], (2,)]),
        ("(640,640)", (640, 640)),
        ("[(1,2),(3,4)]", [(1, 2), (3, 4)]),
        ("dict(type='SGD',lr=0.1)", {"type": "SGD", "lr": 0.1}),
        ("{'a':[1]}", {"a": [1]}),
        ("[]", []),
        ("", ""),
        ("a=b", "a=b"),
        ("http://x/y?z=1", "http://x/y?z=1"),
    ],
)
def test_override_values_read_as_literals_or_words(text: str, value: object) -> None:
    assert parse_override(f"a.b.0={text}") == ("a.b.0", value)


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", ".a=1", "a b=1", ""])
def test_an_override_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no override"):
        parse_override(text)


def test_an_override_may_not_run_code() -> None:
    with pytest.raises(ConfigError):
        parse_override("a=dict(x=open('y'))")


def test_overrides_reach_into_dicts_lists_and_tuples(load: Callable[[str], Config]) -> None:
    config = load("a = dict(b=[dict(c=1), 2], t=(1, dict(u=2)), d=dict(e=1, f=2))")
    config.merge_from_dict(
        {"a.b.0.c": 5, "a.b.-1": 7, "a.t.0": 8, "a.t.1.u": 9, "a.d": {"e": 3}, "a.new.deep": 1, "g": {"h": {"i": 1}}}
    )
    assert config.to_dict() == {
        "a": {"b": [{"c": 5}, 7], "t": (8, {"u": 9}), "d": {"e": 3, "f": 2}, "new": {"deep": 1}},
        "g": {"h": {"i": 1}},
    }
    assert config.created == ("a.new", "g")


def test_an_override_with_delete_replaces_the_dict(load: Callable[[str], Config]) -> None:
    config = load("a = dict(b=dict(c=1))")
    config.merge_from_dict({"a.b": {"_delete_": True, "d": 2}})
    assert config.to_dict() == {"a": {"b": {"d": 2}}}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.b.5", "does not name one of the 2 items"),
        ("a.b.x", "does not name"),
        ("a.c.d", "`a.c` is a str, so it has no `d`"),
    ],
)
def test_an_override_that_leads_nowhere_is_an_error(load: Callable[[str], Config], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load("a = dict(b=[1, 2], c='x')").merge_from_dict({path: 1})
    assert str(caught.value.origin) == "--cfg-options"


def test_one_override_value_is_not_shared_with_the_caller(load: Callable[[str], Config]) -> None:
    value = {"x": [1]}
    config = load("a = dict()")
    config.merge_from_dict({"a": value})
    config.a.x.append(2)
    assert value == {"x": [1]}


def test_every_value_knows_its_origin(put: Callable[[str, str], Path]) -> None:
    base = put(
        "base.py", "a = dict(\n    b=1,\n    c=dict(\n        d=2))\nsteps = [\n    dict(type='A',\n         n=1)]"
    )
    child = put(
        "child.py", "_base_ = 'base.py'\na = dict(\n    c=dict(e=5))\nx = _base_.a.c\nx['f'] = 6\nx.update(g=7)"
    )
    config = Config.fromfile(child, overrides={"a.b": 3})
    found = {
        path: str(config.origin(path)) for path in ("a.c.d", "a.c.e", "a.b", "steps.0.n", "steps", "x.d", "x.f", "x.g")
    }
    assert found == {
        "a.c.d": f"{base}:4",
        "a.c.e": f"{child}:3",
        "a.b": "--cfg-options",
        "steps.0.n": f"{base}:7",
        "steps": f"{base}:5",
        "x.d": f"{base}:4",
        "x.f": f"{child}:5",
        "x.g": f"{child}:6",
    }
    assert config.origin("none.at.all") is None


def test_origins_are_shown_relative_to_the_current_folder(
    put: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Config.fromfile(put("sub/a.py", "x = 1")).origin("x")) == "sub/a.py:1"
