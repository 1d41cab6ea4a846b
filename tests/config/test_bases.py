"""Configs built on other configs: merging, references to the base, templates, other toolboxes, pure-Python style."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mimctl.config import Config, LazyReference
from mimctl.errors import ConfigError

Put = Callable[[str, str], Path]


def test_dicts_merge_and_everything_else_is_replaced(put: Put) -> None:
    put("base.py", "a = dict(b=1, c=dict(d=2, e=3), f=[1, 2])\ng = 1")
    config = Config.fromfile(put("child.py", "_base_ = 'base.py'\na = dict(c=dict(d=5), f=[3], h=6)"))
    assert config.to_dict() == {"a": {"b": 1, "c": {"d": 5, "e": 3}, "f": [3], "h": 6}, "g": 1}


def test_delete_replaces_a_dict_of_the_base(put: Put) -> None:
    put("base.py", "a = dict(b=1, c=dict(d=2))")
    config = Config.fromfile(put("child.py", "_base_ = ['./base.py']\na = dict(c=dict(_delete_=True, e=3))"))
    assert config.to_dict() == {"a": {"b": 1, "c": {"e": 3}}}


def test_a_dict_over_a_plain_value_is_an_error_that_names_both_places(put: Put) -> None:
    put("base.py", "\na = dict(b=1)")
    with pytest.raises(ConfigError, match=r"`a\.b` is a dict here and a int in the base") as caught:
        Config.fromfile(put("child.py", "_base_ = 'base.py'\na = dict(\n    b=dict(c=1))"))
    assert caught.value.code == "config-merge"
    assert str(caught.value.origin).endswith("child.py:3")
    assert "base.py:2" in caught.value.causes[0]


def test_the_base_can_be_read_and_changed(put: Put) -> None:
    put("base.py", "a = [dict(b=1), dict(b=2)]\nn = dict(m=4)\nname = 'x'")
    text = (
        "_base_ = 'base.py'\nfirst = _base_.a[0]\nfirst['c'] = 5\n_base_.n.k = [1]\ntwice = {{_base_.n.m}} * 2\n"
        "same = '{{ _base_.a.1 }}'\nlabel = 'is {{ _base_.name }}'\n"
    )
    config = Config.fromfile(put("child.py", text)).to_dict()
    assert config["a"] == [{"b": 1, "c": 5}, {"b": 2}]
    assert config["n"] == {"m": 4, "k": [1]}
    assert config["twice"] == 8
    assert config["same"] == {"b": 2}
    assert config["label"] == "is x"


def test_children_of_one_base_do_not_see_each_other(put: Put) -> None:
    base = put("base.py", "a = dict(b=[1])")
    first = Config.fromfile(put("one.py", "_base_ = 'base.py'\n_base_.a.b.append(2)"))
    first.a.b.append(3)
    assert Config.fromfile(put("two.py", "_base_ = 'base.py'")).a.b == [1]
    base.write_text("a = dict(b=[7])")
    os.utime(base, ns=(1, 1))
    assert Config.fromfile(put("two.py", "_base_ = 'base.py'")).a.b == [7]


def test_a_changed_base_of_a_base_is_noticed(put: Put) -> None:
    put("low.py", "a = 1")
    put("middle.py", "_base_ = 'low.py'\nb = 2")
    top = put("top.py", "_base_ = 'middle.py'")
    assert Config.fromfile(top).a == 1
    put("low.py", "a = 10")
    assert Config.fromfile(top).a == 10


def test_two_bases_may_not_define_the_same_key(put: Put) -> None:
    put("one.py", "a = 1")
    put("two.py", "\na = 2")
    with pytest.raises(ConfigError, match="two bases define `a`") as caught:
        Config.fromfile(put("child.py", "_base_ = ['one.py', 'two.py']"))
    assert [cause.rpartition("/")[2] for cause in caught.value.causes] == ["one.py:1", "two.py:2"]


def test_bases_that_form_a_circle_are_refused(put: Put) -> None:
    put("a.py", "_base_ = 'b.py'")
    with pytest.raises(ConfigError, match="circle"):
        Config.fromfile(put("b.py", "_base_ = 'a.py'"))


def test_a_missing_base_names_the_nearest_file(put: Put) -> None:
    put("models/rtmdet.py", "")
    with pytest.raises(ConfigError, match=r"no base `models/rtmdte\.py`") as caught:
        Config.fromfile(put("child.py", "a = 1\n_base_ = 'models/rtmdte.py'"))
    assert caught.value.hints == ("did you mean `rtmdet.py`?",)
    assert str(caught.value.origin).endswith("child.py:2")


def test_a_missing_file_and_an_unknown_format_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(tmp_path / "none.py")
    assert caught.value.code == "config-not-found"
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(tmp_path / "none.toml")
    assert caught.value.code == "config-format"


def test_a_base_of_another_toolbox_is_searched_and_keeps_its_scope(put: Put, tmp_path: Path) -> None:
    put(
        "elsewhere/a.py",
        "model = dict(type='M', inner=dict(type='N'))\nhooks = dict(x=dict(type='H'))\nn = [dict(k=1)]",
    )
    child = put("child.py", "_base_ = 'mmtrack::a.py'\nmodel = dict(extra=1)")
    config = Config.fromfile(child, search=lambda name: tmp_path / "elsewhere" / name.partition("::")[2])
    assert config.model.to_dict() == {"type": "M", "inner": {"type": "N"}, "_scope_": "mmtrack", "extra": 1}
    assert config.hooks.x._scope_ == "mmtrack"
    assert config.n.copy() == [{"k": 1}]
    with pytest.raises(ConfigError, match="another toolbox"):
        Config.fromfile(child)


def test_file_names_and_environment_fill_templates(put: Put, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIMCTL_TEST_SIZE", "64")
    monkeypatch.delenv("MIMCTL_TEST_ABSENT", raising=False)
    text = (
        "name = '{{ fileBasenameNoExtension }}'\nplace = f'{{ fileDirname }}/x'\nkind = {{ fileExtname }}\n"
        "size = {{ $MIMCTL_TEST_SIZE:32 }}\nroot = '{{$MIMCTL_TEST_ABSENT:data/coco}}/images'\n"
        "quoted = {{'$MIMCTL_TEST_ABSENT:[1,2]'}}\nuntouched = 'USER: {{question}} '\n"
    )
    config = Config.fromfile(put("my.py", text))
    assert config.to_dict() == {
        "name": "my",
        "place": f"{tmp_path}/x",
        "kind": ".py",
        "size": 64,
        "root": "data/coco/images",
        "quoted": [1, 2],
        "untouched": "USER: {{question}} ",
    }


def test_an_environment_variable_is_data_not_code(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMCTL_TEST_X", "__import__('os').getcwd()")
    config = Config.fromfile(put("a.py", "a = {{ $MIMCTL_TEST_X:1 }}\nb = '{{ $MIMCTL_TEST_X:1 }}'"))
    assert config.a == config.b == "__import__('os').getcwd()"


def test_a_cached_base_follows_the_environment(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("base.py", "a = '{{ $MIMCTL_TEST_Y:one }}'")
    child = put("child.py", "_base_ = 'base.py'")
    monkeypatch.delenv("MIMCTL_TEST_Y", raising=False)
    assert Config.fromfile(child).a == "one"
    monkeypatch.setenv("MIMCTL_TEST_Y", "two")
    assert Config.fromfile(child).a == "two"


def test_yaml_and_json_have_bases_templates_and_lines(put: Put) -> None:
    put("base.yaml", "a:\n  b: 1\n  c: [1, 2]\nd: &d {e: 5}\nf: {<<: *d, g: 6}\nday: 2024-01-02\n")
    put("middle.json", '{"_base_": "base.yaml",\n "a": {"k": {{ _base_.d }},\n  "h": "{{ fileBasename }}"}}')
    config = Config.fromfile(put("top.py", "_base_ = 'middle.json'\na = dict(b=2)"))
    assert config.to_dict() == {
        "a": {"b": 2, "c": [1, 2], "k": {"e": 5}, "h": "middle.json"},
        "d": {"e": 5},
        "f": {"e": 5, "g": 6},
        "day": "2024-01-02",
    }
    assert str(config.origin("a.h")).endswith("middle.json:3")
    assert str(config.origin("f.g")).endswith("base.yaml:5")


def test_pure_python_configs_read_their_bases_without_importing(put: Put) -> None:
    put(
        "base/models.py",
        "from mmdet.models import RTMDet, CSPNeXt\nmodel = dict(type=RTMDet, backbone=dict(type=CSPNeXt))",
    )
    put("base/runtime.py", "epochs = 3\nsecret = 1")
    text = (
        "from mmengine.config import read_base\nfrom torch.nn import SiLU\nwith read_base():\n"
        "    from .base.models import *\n    from .base.runtime import epochs as n\n"
        "model.backbone.update(act=SiLU)\nmodel.merge(dict(backbone=dict(depth=n)))\nother = dict(type=CSPNeXt)\n"
    )
    config = Config.fromfile(put("child.py", text))
    assert config.to_dict() == {
        "model": {
            "type": LazyReference("mmdet.models", "RTMDet"),
            "backbone": {
                "type": LazyReference("mmdet.models", "CSPNeXt"),
                "act": LazyReference("torch.nn", "SiLU"),
                "depth": 3,
            },
        },
        "n": 3,
        "other": {"type": LazyReference("mmdet.models", "CSPNeXt")},
    }
    assert str(config.origin("n")).endswith("runtime.py:1")


def test_pure_python_bases_named_absolutely_are_found_in_their_package(put: Put) -> None:
    put("pkg/configs/base/x.py", "a = 1")
    text = "from mmengine.config import read_base\nwith read_base():\n    from pkg.configs.base.x import *\nb = a + 1"
    assert Config.fromfile(put("pkg/configs/deep/child.py", text)).to_dict() == {"a": 1, "b": 2}


def test_the_older_spelling_of_pure_python_bases_is_read(put: Put) -> None:
    put("base.py", "a = dict(b=1)")
    config = Config.fromfile(put("child.py", "if '_base_':\n    from .base import *\na.merge(dict(c=2))"))
    assert config.to_dict() == {"a": {"b": 1, "c": 2}}


def test_a_name_that_a_base_lacks_is_an_error(put: Put) -> None:
    put("base.py", "epochs = 3")
    with pytest.raises(ConfigError, match="defines no `epoch`") as caught:
        Config.fromfile(
            put("child.py", "from mmengine.config import read_base\nwith read_base():\n    from .base import epoch")
        )
    assert caught.value.hints == ("did you mean `epochs`?",)


def test_dicts_of_the_base_merge_in_an_update_and_own_dicts_replace(put: Put) -> None:
    put("base.py", "model = dict(a=dict(b=1, c=2), d=1)\nother = dict(a=dict(b=1), z=0)")
    text = (
        "_base_ = 'base.py'\n"
        "taken = _base_.pop('model')\n"
        "copied = taken.copy()\n"
        "taken.update(dict(a=dict(b=5), e=dict(f=1)), d=2)\n"
        "taken.e.update(g=dict(h=1))\ntaken.e.update(g=dict(i=1))\n"
        "own = dict(a=dict(b=1, c=2))\nown.update(a=dict(b=5))\n"
        "joined = _base_.other | dict(a=dict(c=3))\n"
        "spread = dict(**_base_.other)\nspread.update(a=dict(x=1))\n"
        "absent = _base_.pop('nothing')\n"
    )
    found = Config.fromfile(put("child.py", text)).to_dict()
    assert found["taken"] == {"a": {"b": 5, "c": 2}, "d": 2, "e": {"f": 1, "g": {"h": 1, "i": 1}}}
    assert found["own"] == {"a": {"b": 5}}
    assert found["joined"] == {"a": {"b": 1, "c": 3}, "z": 0}
    assert found["spread"] == {"a": {"x": 1}, "z": 0}
    assert found["other"] == {"a": {"b": 1}, "z": 0}
    assert found["absent"] is None
    assert "model" not in found


def test_a_classic_config_has_no_base_of_the_pure_python_style(put: Put) -> None:
    put("plain.py", "import math\nfrom os import path\na = math.ceil(1.5)")
    assert Config.fromfile(put("child.py", "_base_ = 'plain.py'")).a == 2
    for text in ("from torch.nn import SiLU\na = 1", "if True:\n    import numpy\na = 1", "from .x import y\na = 1"):
        put("lazy.py", text)
        with pytest.raises(ConfigError, match="pure-Python style") as caught:
            Config.fromfile(put("child.py", "\n_base_ = ['lazy.py']"))
        assert str(caught.value.origin).endswith("child.py:2")
        assert caught.value.code == "config-base"
