"""Text → ported text: only import statements and dotted uses differ, byte for byte."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.errors import MimctlError
from mimctl.porting.names import Names
from mimctl.porting.rewrite import port

NAMES = Names(
    modules={
        "mimctl.engine": {"Config", "Hook", "MODELS", "Runner", "get_rank", "load"},
        "mimctl.vision": {"ConvModule", "DetDataSample", "Resize", "nms"},
        "mimctl_det.models.rtmdet": {"RTMDet", "Head", "FCOS"},
        "mimctl_det.datasets.heads": {"Head", "draw"},
        "mimctl_det.apis": {"infer"},
    },
    toolboxes={"mmdet": ("mimctl_det.datasets.heads", "mimctl_det.models.rtmdet", "mimctl_det.apis")},
)


def ported(text: str) -> str:
    return port(text.encode(), "x.py", NAMES).after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from mmengine.hooks import Hook", "from mimctl.engine import Hook"),
        ("from mmengine import Config as C, Runner", "from mimctl.engine import Config as C, Runner"),
        ("from mmengine . hooks  import\tHook # x", "from mimctl.engine  import\tHook # x"),
        ("from mmengine.hooks \\\n  import Hook", "from mimctl.engine \\\n  import Hook"),
        ("from mmengine.hooks import(Hook)", "from mimctl.engine import(Hook)"),
        ("from mmcv.ops import nms", "from mimctl.vision import nms"),
        ("from mmcv.transforms.processing import Resize", "from mimctl.vision import Resize"),
        ("from mmdet.registry import MODELS", "from mimctl.engine import MODELS"),
        ("from mmseg.registry import MODELS", "from mimctl.engine import MODELS"),
        ("from mmdet.structures import DetDataSample", "from mimctl.vision import DetDataSample"),
        ("from mmdet.models import RTMDet", "from mimctl_det.models.rtmdet import RTMDet"),
        ("from mmdet.models import FCOS", "from mimctl_det.models.rtmdet import FCOS"),
        ("from mmdet.models.x import Head", "from mimctl_det.models.rtmdet import Head"),
        ("from mmdet.datasets import Head", "from mimctl_det.datasets.heads import Head"),
        ("from mmdet.utils import infer", "from mimctl_det.apis import infer"),
        ("from mmcls.models.builder import MODELS", "from mimctl.engine import MODELS"),
        ("from mmdet.datasets.transforms import Resize", "from mimctl.vision import Resize"),
        ("from mmcv.cnn.bricks import Swish", "from torch.nn import SiLU as Swish"),
        ("from mmcv.cnn.bricks import Swish as S", "from torch.nn import SiLU as S"),
        ("import mmdet, mmpose", "import mimctl_det, mmpose"),
        ("import mmdet.registry as registry", "import mimctl.engine as registry"),
        ("import mmdet.apis as apis", "import mimctl_det.apis as apis"),
    ],
)
def test_only_the_module_changes(before, after):
    assert ported(before) == after
    assert ported(f"if 1:\n    {before}\n") == f"if 1:\n    {after}\n"


def test_comments_and_layout_inside_brackets_stay():
    before = "from mmengine.hooks import (Hook,  # the base\n    # of all\n    Runner as R,   Config\n    )  # end\n"
    assert ported(before) == before.replace("mmengine.hooks", "mimctl.engine")


def test_names_of_two_modules_become_two_statements():
    assert ported("from mmcv import Hook, nms, Runner\n") == (
        "from mimctl.engine import Hook, Runner\nfrom mimctl.vision import nms\n"
    )
    assert ported("x = 1; from mmcv import nms, Config; y = 2\n") == (
        "x = 1; from mimctl.vision import nms; from mimctl.engine import Config; y = 2\n"
    )
    assert ported("def f():\n\tfrom mmcv import nms, Config  # both\n") == (
        "def f():\n\tfrom mimctl.vision import nms\n\tfrom mimctl.engine import Config  # both\n"
    )


def test_comments_follow_their_names_when_a_statement_is_split():
    before = (
        "from mmcv.cnn import (  # layers\r\n"
        "    ConvModule,  # conv\r\n"
        "    # not ours\r\n"
        "    NotOurs as N,  # left\r\n"
        "    nms)\r\n"
    )
    assert ported(before) == (
        "from mimctl.vision import (  # layers\r\n"
        "    ConvModule,  # conv\r\n"
        "    nms,\r\n"
        ")\r\n"
        "from mmcv.cnn import (\r\n"
        "    # not ours\r\n"
        "    NotOurs as N,  # left\r\n"
        ")\r\n"
    )


def test_a_module_under_a_name_of_its_own_keeps_its_uses():
    uses = "\nif dist.get_rank() == 0:\n    print(dist . get_rank)\n"
    for before, after in [
        ("import mmengine.dist as dist", "import mimctl.engine as dist"),
        ("from mmengine import dist", "from mimctl import engine as dist"),
    ]:
        assert ported(before + uses) == after + uses
    assert ported("from mmcv import ops as o\no.nms(1)\n") == "from mimctl import vision as o\no.nms(1)\n"


def test_uses_of_the_old_package_itself_are_rewritten():
    before = "import os, mmengine\nimport mmcv.ops\nc = mmengine.Config.fromfile(f'{mmengine.load}')\nmmcv.ops.nms(c)\n"
    assert ported(before) == (
        "import os, mimctl.engine\nimport mimctl.vision\n"
        "c = mimctl.engine.Config.fromfile(f'{mimctl.engine.load}')\nmimctl.vision.nms(c)\n"
    )


def test_uses_that_live_in_two_modules_now_are_rewritten():
    before = "import mmcv as m\nm.nms\nm.Config\nm.imread\n"
    found = port(before.encode(), "x.py", NAMES)
    assert (
        found.after
        == "import mmcv as m, mimctl.vision, mimctl.engine\nmimctl.vision.nms\nmimctl.engine.Config\nm.imread\n"
    )
    assert [(each.line, each.name) for each in found.left] == [(4, "mmcv.imread")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("import mmcv\nf(mmcv)\nmmcv.nms\n", 2, "is used as a value"),
        ("try:\n    import mmcv\nexcept ImportError:\n    mmcv = None\nmmcv.nms\n", 2, "is bound to something else"),
        ("import mmcv\nmmcv.nms = 1\n", 1, "something is assigned to an attribute"),
        ("if 1:\n    import mmcv as m\nelse:\n    import mmengine as m\nm.nms\n", 2, "stands for mmcv and mmengine"),
        ("import mmcv\ndef f(mmcv):\n    mmcv.nms\n", 1, "is bound to something else"),
        ("import mmcv\nmimctl = 1\nmmcv.nms\n", 1, "`mimctl` is bound to something else"),
        ("import mmcv\nx = (mmcv  # here\n  .nms)\n", 2, "over several lines"),
        ("import mmcv\nf'mmcv.nms {mmcv.nms}'\n", 2, "in an f-string"),
    ],
)
def test_what_only_a_person_can_port_is_left_and_told(text, line, reason):
    found = port(text.encode(), "x.py", NAMES)
    assert found.after.replace("import mmcv, mimctl.vision", "import mmcv") == text
    assert [each.line for each in found.left] == [line]
    assert reason in found.left[0].reason


@pytest.mark.parametrize(
    "name",
    ["mmpose.evaluation.functional.nms", "mmdet.models.losses.nms", "mmseg.utils.load", "mmdet.datasets.draw",
     "mmpretrain.datasets.Resize", "mmcls.models.ConvModule", "mmcv.runner.Hook"],
)  # fmt: skip
def test_what_only_has_the_same_name_elsewhere_is_no_counterpart(name):
    module, _, leaf = name.rpartition(".")
    found = port(f"from {module} import {leaf}\n".encode(), "x.py", NAMES)
    assert (found.moved, [each.name for each in found.left]) == ((), [name])


def test_a_name_without_a_counterpart_says_what_comes_near():
    (left,) = port(b"\nfrom mmengine.hooks import Runer\n", "x.py", NAMES).left
    assert (left.line, left.name, left.near) == (2, "mmengine.hooks.Runer", ("mimctl.engine.Runner",))
    (left,) = port(b"from mmpose.models import Thing\n", "x.py", NAMES).left
    assert left.reason == "it belongs to toolbox `pose`, which is not installed"


@pytest.mark.parametrize(
    "text",
    [
        "from .mmengine import Hook\n",
        "from . import mmengine\n",
        "import torch, mmengines\nfrom mmenginex import Hook\n",
        "s = 'from mmengine import Hook'\n# import mmcv\n",
        "type = 'mmdet.RTMDet'\n",
        "",
        "\f\n",
    ],
)
def test_the_rest_is_not_touched(text):
    found = port(text.encode(), "x.py", NAMES)
    assert (found.after, found.moved, found.left, found.notes) == (text, (), (), ())


def test_places_of_all_kinds_are_found():
    text = (
        "from typing import TYPE_CHECKING\n"
        "try:\n    from mmcv.ops import nms, roi_align\nexcept ImportError: nms = None\n"
        "if TYPE_CHECKING: from mmengine import Config\n"
        "class A:\n    from mmengine import load\n    async def f(self):\n"
        "        from mmengine import Runner; return Runner\n"
    )
    assert ported(text) == (
        "from typing import TYPE_CHECKING\n"
        "try:\n    from mimctl.vision import nms\n    from mmcv.ops import roi_align\nexcept ImportError: nms = None\n"
        "if TYPE_CHECKING: from mimctl.engine import Config\n"
        "class A:\n    from mimctl.engine import load\n    async def f(self):\n"
        "        from mimctl.engine import Runner; return Runner\n"
    )


def test_a_star_is_written_out_as_far_as_it_is_used():
    found = port(b"from mmengine import *\n\nclass A(Hook):\n    x = Config\n", "x.py", NAMES)
    assert found.after.startswith("from mimctl.engine import Config, Hook\n")
    assert "written out" in found.notes[0].text
    passed_on = port(b"from mmengine.hooks import *  # noqa\n", "__init__.py", NAMES)
    assert passed_on.after == "from mimctl.engine import *  # noqa\n"
    assert len(passed_on.notes) == 1


def test_the_projects_own_package_of_an_old_name_is_left_alone():
    text = "from mmdet.models import RTMDet\nimport mmdet.apis\nfrom mmengine import Hook\n"
    found = port(text.encode(), "x.py", NAMES, frozenset({"mmdet"}))
    assert found.after == text.replace("mmengine", "mimctl.engine")


def test_configs_stay_and_what_they_import_is_told():
    text = "_base_ = 'x.py'\nfrom mmdet.models import A\ncustom_imports = dict(imports=['a', 'mmpretrain.models'])\n"
    found = port(text.encode(), "x.py", NAMES)
    assert found.after == text
    assert [(each.line, "mmpretrain.models" in each.text) for each in found.notes] == [(3, True)]
    told = port(b"import importlib\nimportlib.import_module('mmcv.ops')\n", "x.py", NAMES).notes
    assert [each.line for each in told] == [2]


@pytest.mark.parametrize(
    ("head", "encoding", "mark"),
    [
        ("", "utf-8", b""),
        ("", "utf-8", b"\xef\xbb\xbf"),
        ("# -*- coding: latin-1 -*-", "latin-1", b""),
        ("# coding: cp1252", "cp1252", b""),
        ("# vim: set fileencoding=gbk :", "gbk", b""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_marks_and_line_ends_stay(head, encoding, mark, end):
    letter = "中" if encoding == "gbk" else "é"
    lines = [head, f"'''{letter}'''; x = '{letter}'; from mmengine import Hook, nms  # {letter}", f"y = '\t{letter}'  "]
    before = mark + end.join(lines).encode(encoding)
    found = port(before, "x.py", NAMES)
    expected = "from mimctl.engine import Hook; from mimctl.vision import nms"
    assert found.data == mark + end.join(lines).replace("from mmengine import Hook, nms", expected).encode(encoding)
    assert found.read == before


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"x = 1\ndef (:\n", 2),
        (b"print 'two'\n", 1),
        (b"x = '\xff'\n", 1),
        (b"# coding: nonsense\n", 1),
        (b"# coding: rot13\n", 1),
        (b"x\0 = 1\n", 1),
        (b"(" * 5000, 1),
        (b"-" * 200_000 + b"1\n", 1),
        (b"# coding: utf-7\nx = '+AGE-'\n", 1),
    ],
)
def test_what_is_no_python_is_refused_with_its_line(data, line):
    with pytest.raises(MimctlError) as caught:
        port(data, "x.py", NAMES)
    assert caught.value.code == "port-refused"
    assert (caught.value.origin.file, caught.value.origin.line) == ("x.py", line)


def test_what_is_too_large_is_refused():
    with pytest.raises(MimctlError, match="4 MB"):
        port(b"#" * 4_000_001, "x.py", NAMES)


STATEMENTS = st.sampled_from(
    [
        "import mmengine",
        "import mmcv.ops, os",
        "import mmengine.dist as dist",
        "from mmengine import Hook, Config as C",
        "from mmcv.cnn import (ConvModule,  # é\n    nms as n, Gone)",
        "from mmdet.models import RTMDet, ConvModule, MODELS",
        "from mmengine.hooks import *",
        "x = mmengine.Config(dist.get_rank(), mmcv.ops.nms)",
        "class A(Hook): pass",
        "s = f'{mmengine.load} é'",
        "é = 'ü'  # mmcv.nms",
        "def f(a, dist): return dist.get_rank",
    ]
)


@given(st.lists(STATEMENTS, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_porting_is_valid_python_and_done_at_once(statements, end):
    text = end.join(statements).replace("\r\n", "\n").replace("\n", end) + end
    once = port(text.encode(), "x.py", NAMES)
    ast.parse(once.after)
    twice = port(once.data, "x.py", NAMES)
    assert [each.name for each in twice.left] == [each.name for each in once.left]
    assert twice.after == once.after or "*" in text
    if end == "\r\n":
        assert "\n" not in once.after.replace("\r\n", "")
