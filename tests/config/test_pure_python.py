"""Pure-Python configs mean what they mean to MMEngine 0.10.7: what is inherited is no plain dict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config, LazyReference
from mimctl.errors import ConfigError

Put = Callable[[str, str], Path]

HEAD = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
BASE = "from m import A, B\nmodel = dict(type=A, a=dict(b=dict(c=1, d=2), e=[dict(f=1)]), n=None)\nother = dict(x=1)\n"


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("model.update(dict(a=dict(b=dict(c=5))))", "model.a.b", {"c": 5, "d": 2}),
        ("model.update(a=dict(b=dict(c=5)))", "model.a.b", {"c": 5, "d": 2}),
        ("model.a.update(e=[])", "model.a.e", []),
        ("mine = dict(a=dict(b=1))\nmine.update(dict(a=dict(c=2)))", "mine.a", {"c": 2}),
        ("model.merge(dict(a=dict(b=dict(_delete_=True, z=1))))", "model.a.b", {"z": 1}),
        ("model.merge(dict(_delete_=True, z=1))", "model", {"z": 1}),
        ("model.merge(dict(n=dict(_delete_=True, z=1)))", "model.n", {"z": 1}),
        ("model.merge(dict(n=dict(z=1), a=3))", "model.a", 3),
        ("model.update(dict(a=dict(_delete_=True, z=1)))\nmodel.merge(dict(a=dict(y=2)))", "model.a.y", 2),
        ("model.a.b = dict(q=1)\nmodel.a.b.q = 2", "model.a.b", {"q": 2}),
        ("model['a']['b']['c'] = 9", "model.a.b", {"c": 9, "d": 2}),
        ("mine = dict(q=1)\nmodel.a = mine\nmine['q'] = 2", "model.a", {"q": 1}),
        ("mine = [dict(q=1)]\nmodel.a = mine\nmine.append(2)\nmine[0]['q'] = 2", "model.a", [{"q": 1}]),
        ("mine = dict(a=model)\nmodel.n = 4", "mine.a.n", 4),
        ("other.update(dict(y=model))\nmodel.n = 4", "other.y.n", 4),
        ("other.merge(dict(y=model))\nmodel.n = 4", "other.y.n", None),
        ("model.a.merge(model)", "model.a.a.b", {"c": 1, "d": 2}),
        ("model.a.merge(model)", "model.a.a.a", "absent"),
        ("inner = model.a\nmodel.merge(dict(a=dict(z=1)))\ninner.y = 2", "model.a.y", "absent"),
        ("inner = model.a\nmodel.update(dict(a=dict(z=1)))\ninner.y = 2", "model.a.y", 2),
        ("copied = model.a.copy()\ncopied.e.append(1)", "model.a.e", [{"f": 1}]),
        ("other.merge(dict(p=model, q=model))\nother.p.z = 1", "other.q.z", 1),
        ("copied = model.copy()\ncopied.update(a=dict(b=dict(c=5)))", "model.a.b.c", 5),
        ("import copy\ncopied = copy.deepcopy(model)\ncopied.update(a=dict(b=dict(c=5)))", "model.a.b.c", 1),
        ("x = model.pop('none')", "x", None),
        ("test = model\ntest.update(n=7)", "model.n", 7),
        ("x = [hasattr(model, 'n'), hasattr(model, 'z'), hasattr(dict(n=1), 'n')]", "x", [True, False, False]),
        ("x = getattr(model, 'z', []) + getattr(model.a, 'e')", "x", [{"f": 1}]),
        ("model = dict(only=1)", "model", {"only": 1}),
        ("text = '{{ fileBasename }}'", "text", "{{ fileBasename }}"),
        ("text = f'{{ {other.x} }}'", "text", "{ 1 }"),
        ("import torch.nn as nn\nx = dict(type=nn.SiLU)", "x.type", LazyReference("torch.nn", "SiLU")),
        ("from torch import nn\nx = dict(type=nn.SiLU)", "x.type", LazyReference("torch.nn", "SiLU")),
        ("x = dict(type=B)", "x.type", LazyReference("m", "B")),
        ("x = [dict(s=s) for s in [(1, 2)] + [other.x]]", "x", [{"s": (1, 2)}, {"s": 1}]),
    ],
)
def test_what_a_base_defines_merges_where_it_is_updated(text: str, path: str, expected: Any, put: Put) -> None:
    put("base.py", BASE)
    assert Config.fromfile(put("child.py", HEAD + text)).select(path, "absent") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine = dict(a=1)\nmine.merge(dict(b=2))", "no `merge`"),
        ("mine = dict(a=1)\nx = mine.a", r"write `\['a'\]`"),
        ("mine = dict(a=1)\nmine.a = 2", r"write `\['a'\]`"),
        ("absent.update(dict(b=2))", "name `absent` is not defined"),
        ("x = dict(type=Absent)", "name `Absent` is not defined"),
        ("x = model.absent", "there is no `absent`"),
        ("x = getattr(model, 'absent')", "there is no `absent`"),
        ("x = getattr(model.a.e, 'append')", "attributes of a list are refused"),
        ("x = hasattr(A, 'load')", "attributes of a LazyReference are refused"),
        ("x = getattr(dict, '__subclasses__')", "attributes of a .* are refused"),
        ("mine = dict(a=1)\nmine.pop('b')", "there is no `b`"),
        ("with read_base():\n    from .none import *", "there is no base `.none`"),
        ("from m import *", "only possible inside"),
        ("model.update(dict(x=model))", "nested"),
        ("model.update([('x', 1)])", "only a dict can be merged"),
        ("x = dict(x=2, **other)", "`x` is given twice"),
        ("x = dict(**other, x=2)", "`x` is given twice"),
    ],
)
def test_a_broken_config_is_refused_at_its_line(text: str, message: str, put: Put) -> None:
    put("base.py", BASE)
    path = put("child.py", HEAD + text)
    with pytest.raises(ConfigError, match=message) as caught:
        Config.fromfile(path)
    assert caught.value.origin is not None
    assert caught.value.origin.file == str(path)
    assert (caught.value.origin.line or 0) > 3


def test_bases_are_read_before_anything_else(put: Put) -> None:
    put("base.py", "a = 1\nb = 1")
    text = "a = 2\nfrom mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
    assert Config.fromfile(put("child.py", text)).to_dict() == {"a": 2, "b": 1}


def test_a_base_that_is_read_twice_is_two(put: Put) -> None:
    put("base.py", "model = dict(a=1)")
    put("left.py", HEAD + "left = model")
    put("right.py", HEAD + "right = model")
    text = HEAD.replace(".base", ".left") + "    from .right import right\nleft.a = 2"
    config = Config.fromfile(put("child.py", text))
    assert (config.left.a, config.right.a) == (2, 1)


def test_no_module_that_a_config_names_is_imported(put: Put, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    for name in ("mmengine", "mmdet", "torch", "usercode"):
        put(f"modules/{name}/__init__.py", f"open({str(mark)!r}, 'w')")
    put("base.py", "from torch.nn import SiLU\nimport usercode\nact = dict(type=SiLU, own=usercode.Act)")
    put("classic.py", "custom_imports = dict(imports=['usercode'])\nmodel = dict(type='mmdet.X')")
    put("child.py", HEAD + "import mmdet.models as models\nmodel = dict(type=models.RTMDet)")
    script = (
        "import sys\nfrom mimctl.config import Config\n"
        f"for name in ('child.py', 'classic.py'):\n    Config.fromfile({str(tmp_path)!r} + '/' + name).pretty_text\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - {*sys.stdlib_module_names, '__main__'}))"
    )
    root = str(Path(__file__).parents[2])
    path = f"{tmp_path / 'modules'}:{root}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['mimctl']"
    assert not mark.exists()
