"""What a Python config may say, and what it then is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config, ConfigDict, LazyReference
from mimctl.errors import ConfigError

VALUES: list[tuple[str, Any]] = [
    ("x = dict(a=1, b=[2, (3,)], **{'c d': None})", {"a": 1, "b": [2, (3,)], "c d": None}),
    ("x = {**dict(a=1), 'a': 2, 3: 4}", {"a": 2, 3: 4}),
    ("x = [*range(3), 7]", [0, 1, 2, 7]),
    ("x = [i * j for i in range(3) for j in (1, 10) if i != 1]", [0, 0, 2, 20]),
    ("x = {k: v for k, v in zip('ab', (1, 2))}", {"a": 1, "b": 2}),
    ("x = [f'{i:02d}/{n!r}' for i, n in enumerate(['a'], 5)]", ["05/'a'"]),
    ("x = 2 ** 3 // 3 % 2 - -1 / 4", 0.25),
    ("x = [0] * 2 + [1]", [0, 0, 1]),
    ("x = 'a' 'b' + '%s-%d' % ('c', 4)", "abc-4"),
    ("x = 'images/2007_%s' % 'a'", "images/2007_a"),
    ("x = '{}_{name:.2f}'.format(1, name=2)", "1_2.00"),
    ("x = 'a,b'.split(',')[::-1]", ["b", "a"]),
    ("x = 1 if 2 > 1 >= 1 and not False else 3", 1),
    ("x = (1 in [1]) + (2 not in (2,)) + (None is None)", 2),
    ("x = max(1, 3) + min([4, 2]) + sum((1, 2)) + len('abc') + abs(-1) + round(2.6)", 15),
    ("x = sorted([3, 1], reverse=True) + list(reversed([1, 2]))", [3, 1, 2, 1]),
    ("x = int('3') + float('2.5') + int(2.9)", 7.5),
    ("x = bool(any([0, 1]) and all([1]))", True),
    ("x = dict([('a', 1)])", {"a": 1}),
    ("x = dict(dict(a=1), b=2)", {"a": 1, "b": 2}),
    ("x = float('inf')", math.inf),
    ("import os.path as osp\nx = osp.join('a', 'b')", "a/b"),
    ("import math\nx = math.floor(math.pi)", 3),
    (
        "x = []\nfor i in range(4):\n    if i == 1:\n        continue\n    if i == 3:\n        break\n    x.append(i)",
        [0, 2],
    ),
    ("x = dict(a=dict(b=1))\nx['a']['b'] += 1\nx['a']['c'] = x.copy()['a']['b']", {"a": {"b": 2, "c": 2}}),
    ("x = dict(a=1, b=2)\ndel x['a']\nx.update(c=3)\nx.pop('b')\nx.setdefault('d', 4)", {"c": 3, "d": 4}),
    ("x, (y, z) = 1, (2, 3)\nx += y + z", 6),
    ("x = [1, 2, 3]\nx.insert(0, 0)\nx.extend([9])\nx.pop()\nx[1:2] = []\ndel x[-1]", [0, 2]),
    ("import copy\na = [dict(b=1)]\nx = copy.deepcopy(a)\na[0]['b'] = 2", [{"b": 1}]),
    ("a = [dict(b=1)]\nx = a\na[0]['b'] = 2", [{"b": 2}]),
    ("x: int = 3", 3),
    ("def f():\n    return 1\nif __name__ == '__main__':\n    f()\nx = 1", 1),
    ("x = dict(a=1) | dict(b=2)", {"a": 1, "b": 2}),
    ("x = {1, 2}", {1, 2}),
    ("print('hello')\nassert True\nx = 1", 1),
]


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
def test_plain_python_evaluates_as_python_would(text: str, expected: object) -> None:
    found = Config.fromstring(text).x
    assert found == expected
    assert type(found) is type(expected) or isinstance(found, ConfigDict)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = a + undefined", 2, "name `undefined` is not defined"),
        ("a = dict(\n    b=1 / 0)", 2, "division by zero"),
        ("a = dict(b=1)\nc = a['x']", 2, "there is no `x`"),
        ("a = [1]\nb = a[5]", 2, "out of range"),
        ("a = 'x' + 1", 1, "TypeError"),
        ("a, b = 1, 2, 3", 1, "3 values for 2 names"),
        ("a = (1", 1, "not valid Python"),
        ("a = 1\nfor i in 5:\n    pass", 2, "cannot be looped over"),
        ("assert 1 == 2", 1, "assertion"),
        ("break", 1, "outside a loop"),
    ],
)
def test_a_mistake_names_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Config.fromstring(text, origin="a.py")
    assert str(caught.value.origin) == f"a.py:{line}"


def test_private_names_imports_and_functions_are_left_out(load: Callable[[str], Config]) -> None:
    config = load("import os\nfrom a.b import C\ndef f(): pass\n__x = 1\n_y = 2\nz = dict(type=C)\n")
    assert list(config) == ["_y", "z"]
    assert config.z.type == LazyReference("a.b", "C")
    assert config.z.type.type_name == "a.C"


def test_items_are_attributes_and_plain_dicts_become_config_dicts() -> None:
    config = Config({"a": {"b": [{"c": 1}]}})
    assert config.a.b[0].c == config["a"]["b"][0]["c"] == 1
    config.a.d = {"e": 2}
    assert config.a.d.e == 2
    assert config.get("none", 3) == 3
    assert type(config.to_dict()["a"]) is dict
    with pytest.raises(AttributeError, match="did you mean a"):
        _ = config.aa


def test_a_config_survives_pickling_and_copies() -> None:
    import copy
    import pickle

    config = Config.fromstring("a = dict(b=[dict(c=(1, 2))])")
    for made in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), config.copy()):
        assert made == config
        made.a.b[0].c = 3
        assert config.a.b[0].c == (1, 2)
        assert made.a.b[0].c == 3


def test_text_is_filled_in_as_far_as_the_caller_wants(put: Callable[[str, str], Path]) -> None:
    path = put("config.py", "a = '{{ fileBasename }}'\nb = '{{$MIMCTL_TEST_ABSENT:x}}'")
    found = [
        Config.fromfile(path, use_predefined_variables=first, use_environment_variables=second).to_dict()
        for first, second in ((True, True), (False, True), (True, False))
    ]
    assert found == [
        {"a": "config.py", "b": "x"},
        {"a": "{{ fileBasename }}", "b": "x"},
        {"a": "config.py", "b": "{{$MIMCTL_TEST_ABSENT:x}}"},
    ]


def test_the_style_can_be_insisted_on(put: Callable[[str, str], Path]) -> None:
    path = put("config.py", "from torch.nn import SiLU\nact = dict(type=SiLU)")
    assert Config.fromfile(path, lazy_import=True) == Config.fromfile(path)
    with pytest.raises(ConfigError, match="pure-Python style"):
        Config.fromfile(path, lazy_import=False)


def test_dicts_of_a_config_update_and_merge_in_depth() -> None:
    config = Config({"model": {"backbone": {"depth": 50, "width": 1}, "neck": None}})
    config.model.update(backbone={"depth": 101})
    config.model.update({"neck": {"n": 1}})
    assert config.model == {"backbone": {"depth": 101, "width": 1}, "neck": {"n": 1}}
    given = {"backbone": {"_delete_": True, "type": "X"}, "neck": {"m": [2]}}
    config.model.merge(given)
    assert config.model == {"backbone": {"type": "X"}, "neck": {"n": 1, "m": [2]}}
    config.model.neck.m.append(3)
    assert given == {"backbone": {"_delete_": True, "type": "X"}, "neck": {"m": [2]}}
    config.update(model={"head": 1}, other=2)
    assert (config.model.head, config.model.backbone.type, config.other) == (1, "X", 2)
