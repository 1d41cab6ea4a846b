"""Overrides by dotted path, and where each value of a config comes from."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config, parse_override
from mimctl.errors import ConfigError

AS_DICT_ACTION: list[tuple[str, Any]] = [
    ("1", 1),
    ("-1", -1),
    ("+1", 1),
    ("007", 7),
    ("1_000", 1000),
    ("1e3", 1000.0),
    ("-1e-3", -0.001),
    (".5", 0.5),
    ("5.", 5.0),
    ("0x10", "0x10"),
    ("inf", math.inf),
    ("-inf", -math.inf),
    ("true", True),
    ("FALSE", False),
    ("None", None),
    ("none", "none"),
    ("null", "null"),
    ("word", "word"),
    ("data/coco", "data/coco"),
    ("2007_val", "2007_val"),
    ("a=b", "a=b"),
    ("http://x/y?z=1", "http://x/y?z=1"),
    ("C:\\x", "C:\\x"),
    ("it's", "it's"),
    ("a(b", "a(b"),
    ("{fold}", "{fold}"),
    ("lambda", "lambda"),
    ("", ""),
    ("''", ""),
    ("'a'", "a"),
    ("1,2", [1, 2]),
    ("1,2,", [1, 2]),
    ("1,", [1]),
    (",1", ["", 1]),
    ("1,,2", [1, "", 2]),
    ("a,1,True,None", ["a", 1, True, None]),
    ("[1,2]", [1, 2]),
    ("[1, 2]", [1, 2]),
    ("[]", []),
    ("()", ()),
    ("[1]", [1]),
    ("(1)", (1,)),
    ("(1,)", (1,)),
    ("(640,640)", (640, 640)),
    ("[(1,2),(3,4)]", [(1, 2), (3, 4)]),
    ("[[1],[2,[3]]]", [[1], [2, [3]]]),
    ("[a,(b,c)],d", [["a", ("b", "c")], "d"]),
    ("['a','b']", ["a", "b"]),
    ("don't,can't", ["don't", "can't"]),
    ("'[1,2]'", [1, 2]),
    ('"(1, 2)"', (1, 2)),
]
BEYOND_IT: list[tuple[str, Any]] = [
    ("a b", "a b"),
    ("'a b'", "a b"),
    ("'1'", "1"),
    ("'None'", "None"),
    ('"a,b"', "a,b"),
    ("'a','1'", ["a", "1"]),
    ("[1,[a,'b c'],(2,)]", [1, ["a", "b c"], (2,)]),
    ("(1,2),(3,4)", [(1, 2), (3, 4)]),
    ("[1,2],[3]", [[1, 2], [3]]),
    ("dict(type='SGD',lr=0.1)", {"type": "SGD", "lr": 0.1}),
    (
        "dict(type='SGD', betas=(0.9, 0.99), x=[i * 2 for i in range(2)])",
        {"type": "SGD", "betas": (0.9, 0.99), "x": [0, 2]},
    ),
    ("{'a':[1]}", {"a": [1]}),
    ("{}", {}),
    ("[dict(a=1),dict(b=(2,))]", [{"a": 1}, {"b": (2,)}]),
    ("dict(_delete_=True,a=dict(b=1))", {"_delete_": True, "a": {"b": 1}}),
]


@pytest.mark.parametrize(("text", "value"), AS_DICT_ACTION + BEYOND_IT)
def test_override_values_have_the_types_that_people_expect(text: str, value: object) -> None:
    key, found = parse_override(f"a.b.0={text}")
    assert (key, found) == ("a.b.0", value)
    assert repr(found) == repr(value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(parse_override("a=nan")[1])


@pytest.mark.parametrize("text", ["[1,2", "1,(2", "a)b,c(", "(1,2]]"])
def test_brackets_that_do_not_match_are_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="do not match") as caught:
        parse_override(f"a={text}")
    assert caught.value.code == "bad-override"


@pytest.mark.parametrize(
    "text", ["[" * 200 + "1" + "]" * 200, "9" * 300_000, "'" * 100_000, "," * 100_000, "(" * 100_000]
)
def test_a_hostile_override_is_read_or_refused_at_once(text: str) -> None:
    start = time.process_time()
    with contextlib.suppress(ConfigError):
        parse_override(f"a={text}")
    assert time.process_time() - start < 1


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


CONFIG = "a = dict(b=dict(c=1, d=dict(e=2)), l=[dict(x=1, y=2), 3], t=(1, dict(u=2)), n=None, i={5: 6})"


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        ({"a.b": {"_delete_": True, "d": 2}}, "a.b", {"d": 2}),
        ({"a.b": {"d": {"_delete_": True, "f": 3}}}, "a.b", {"c": 1, "d": {"f": 3}}),
        ({"a.b._delete_": True, "a.b.z": 2}, "a.b", {"z": 2}),
        ({"a.b.z": 2, "a.b._delete_": True}, "a.b", {"z": 2}),
        ({"a.b._delete_": False, "a.b.c": 2}, "a.b.c", 2),
        ({"a.new": {"_delete_": True, "f": {"_delete_": True, "g": 1}}}, "a.new", {"f": {"g": 1}}),
        ({"a.l.0": {"x": 5}}, "a.l", [{"x": 5, "y": 2}, 3]),
        ({"a.l": {"0": {"x": 5}, "1": 4}}, "a.l", [{"x": 5, "y": 2}, 4]),
        ({"a": {"l": {"0": {"_delete_": True, "z": 1}}}}, "a.l.0", {"z": 1}),
        ({"a.l": {"_delete_": True, "z": 1}}, "a.l", {"z": 1}),
        ({"a.t": {"1": {"u": 5}}}, "a.t", (1, {"u": 5})),
        ({"a.t.-1.u": 5}, "a.t", (1, {"u": 5})),
        ({"a.l": [7]}, "a.l", [7]),
        ({"a.l.1": [7]}, "a.l.1", [7]),
        ({"a.n.max_norm": 35}, "a.n", {"max_norm": 35}),
        ({"a.n": {"max_norm": 35}}, "a.n", {"max_norm": 35}),
        ({"a.i.5": 7}, "a.i", {5: 7}),
        ({"a.b.c": {"z": 1}}, "a.b.c", {"z": 1}),
        ({"a.b": 1}, "a.b", 1),
    ],
)
def test_overrides_of_every_shape(
    overrides: dict[str, Any], path: str, expected: object, load: Callable[[str], Config]
) -> None:
    config = load(CONFIG)
    config.merge_from_dict(overrides)
    assert config.select(path) == expected
    assert "_delete_" not in config.pretty_text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.b.5", "does not name one of the 2 items"),
        ("a.b.x", "does not name"),
        ("a.b.2.x", "does not name one of the 2 items"),
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


def test_a_dict_is_no_item_of_a_list(load: Callable[[str], Config]) -> None:
    with pytest.raises(ConfigError, match=r"`a\.l\.type` does not name one of the 2 items") as caught:
        load(CONFIG).merge_from_dict({"a.l": {"type": "X"}})
    assert caught.value.code == "bad-override"


def test_indices_can_be_forbidden(load: Callable[[str], Config]) -> None:
    config = load(CONFIG)
    config.merge_from_dict({"a.b.c": 5}, allow_list_keys=False)
    with pytest.raises(ConfigError, match="goes into a list"):
        config.merge_from_dict({"a.l.0.x": 5}, allow_list_keys=False)
