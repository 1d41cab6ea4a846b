"""Several toolboxes in one process: their scopes, what is imported, and what is said when an import fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.made_toolbox import make_toolbox, run_with, write_table

NETS = """
from mimctl.engine import MODELS

@MODELS.register_module()
class {name}:
    def __init__(self, part=None):
        self.part = MODELS.build(part) if part else None

@MODELS.register_module()
class Part{name}:
    pass

@MODELS.register_module(name="Same")
class SameOf{name}:
    pass
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    modules = {
        "models/apple.py": NETS.format(name="Apple"),
        "models/pear.py": NETS.format(name="Pear").replace('(name="Same")', '(name="Other")'),
        "data/__init__.py": "raise RuntimeError('nobody asked for data')",
        "broken/outer.py": "from mimctl_fruit.broken import inner\n" + NETS.format(name="Quince").replace("Same", "Q"),
        "broken/inner.py": "import surely_absent_library\n",
    }
    make_toolbox(tmp_path, "fruit", modules, scopes='"mmfruit"')
    make_toolbox(tmp_path, "stone", {"nets.py": NETS.format(name="Granite")}, package="acme_stone")
    return tmp_path


def test_toolboxes_do_not_clash_and_scopes_choose(site: Path) -> None:
    code = """
    from mimctl.engine import MODELS, use_scope
    names = lambda *kinds: print(*(type(MODELS.build(dict(type=kind))).__name__ for kind in kinds))
    names("fruit.Same", "mmfruit.Same", "stone.Same")
    with use_scope("mmfruit"):
        names("Same", "stone.Same")
        print(type(MODELS.build(dict(type="Same", _scope_="stone"))).__name__)
    with use_scope("stone"):
        names("Same")
    """
    assert run_with(site, code).split("\n") == [
        "SameOfApple SameOfApple SameOfGranite",
        "SameOfApple SameOfGranite",
        "SameOfGranite",
        "SameOfGranite",
        "",
    ]


def test_parts_without_a_scope_belong_to_the_default_scope_then_to_their_whole(site: Path) -> None:
    code = """
    from mimctl.engine import MODELS, use_scope
    whole = lambda part: type(MODELS.build(dict(type="fruit.Apple", part=dict(type=part))).part).__name__
    with use_scope("stone"):
        print(whole("Same"), whole("PartApple"))
    print(whole("Same"))
    """
    assert run_with(site, code) == "SameOfGranite PartApple\nSameOfApple\n"


def test_one_model_imports_its_modules_alone(site: Path) -> None:
    code = """
    import sys
    from mimctl.engine import MODELS
    MODELS.build(dict(type="fruit.Apple", part=dict(type="fruit.PartApple")))
    print(sorted(each for each in sys.modules if each.startswith(("mimctl_", "acme_"))))
    """
    assert run_with(site, code) == "['mimctl_fruit', 'mimctl_fruit.models', 'mimctl_fruit.models.apple']\n"


def test_rtmdet_imports_no_module_of_another_family_or_toolbox(site: Path) -> None:
    code = """
    import sys, mimctl_det
    from pathlib import Path
    from mimctl.config import Config
    from mimctl.engine import MODELS, use_scope
    cfg = Config.fromfile(Path(mimctl_det.__file__).parent / "configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py")
    with use_scope(cfg.default_scope):
        MODELS.build({key: value for key, value in cfg.model.items() if key != "init_cfg"})
    print(*sorted(each for each in sys.modules if each.startswith(("mimctl_", "acme_", "mimctl.vision."))))
    """
    loaded = run_with(site, code).split()
    assert not [each for each in loaded if each.startswith(("mimctl_fruit", "acme_"))]
    assert not [each for each in loaded if each.startswith(("mimctl_det.datasets", "mimctl_det.evaluation"))]
    assert not [each for each in loaded if "transforms" in each or "drawing" in each or "visualization" in each]
    heads = {each.rpartition(".")[2] for each in loaded if each.startswith("mimctl_det.models.dense_heads.")}
    assert heads == {"base", "rtmdet_head", "rtmdet_loss"}
    assert {each for each in loaded if each.startswith("mimctl.vision.backbones.")} == {
        "mimctl.vision.backbones.cspnext"
    }


def test_import_error_inside_a_toolbox_is_shown_as_itself(site: Path) -> None:
    code = """
    from mimctl.engine import MODELS
    from mimctl.errors import MimctlError, render
    try:
        MODELS.build(dict(type="fruit.Quince"))
    except MimctlError as error:
        assert isinstance(error.__cause__, ModuleNotFoundError)
        print(render(error))
    """
    shown = run_with(site, code)
    folder = site / "mimctl_fruit" / "broken"
    assert "error[toolbox-import]: ModuleNotFoundError: No module named 'surely_absent_library'" in shown
    assert "model `Quince` of `fruit` is in mimctl_fruit.broken.outer" in shown
    assert f"{folder / 'outer.py'}:1: from mimctl_fruit.broken import inner" in shown
    assert f"{folder / 'inner.py'}:1: import surely_absent_library" in shown
    assert "`surely_absent_library`" in shown.partition("hint: ")[2]
    assert "unknown" not in shown


def test_unknown_name_says_which_toolbox_has_it_or_would_have_it(site: Path) -> None:
    code = """
    from mimctl.engine import MODELS, use_scope
    from mimctl.errors import MimctlError
    wrong = [("stone", "Pear"), ("stone", "Granit"), (None, "mmpose.TopdownPoseEstimator"), (None, "fruit.Aple")]
    for scope, kind in wrong:
        with use_scope(scope):
            try:
                MODELS.build(dict(type=kind))
            except MimctlError as error:
                print(error.code, error.hints)
    """
    assert run_with(site, code).splitlines() == [
        "unknown-type ('toolbox `fruit` has it: write `fruit.Pear`',)",
        "unknown-type ('did you mean `Granite` or `PartGranite`?',)",
        "unknown-type ('install it: `mimctl install pose`',)",
        "unknown-type ('did you mean `Apple` or `PartApple`?',)",
    ]


def test_name_that_a_toolbox_of_openmmlab_has_is_traced_to_it(site: Path) -> None:
    code = """
    from mimctl.engine import MODELS, use_scope
    from mimctl.errors import MimctlError
    for kind in ("EncoderDecoder", "TopdownPoseEstimator", "mmdet.TwoStageDetectorr"):
        try:
            MODELS.build(dict(type=kind))
        except MimctlError as error:
            print([each for each in error.causes if "OpenMMLab" in each])
    """
    told = "OpenMMLab has a model of this name in the toolbox that is `{}` here, which is not installed here"
    assert run_with(site, code).splitlines() == [str([told.format("seg")]), str([told.format("pose")]), "[]"]


def test_toolbox_that_is_edited_in_place_is_believed_before_its_table(site: Path) -> None:
    source = site / "mimctl_fruit" / "models" / "pear.py"
    source.write_text(source.read_text(encoding="utf-8").replace("class Pear", "class Plum"), encoding="utf-8")
    code = """
    from mimctl.engine import MODELS
    from mimctl.errors import MimctlError
    print(type(MODELS.build(dict(type="fruit.Plum"))).__name__)
    try:
        MODELS.build(dict(type="fruit.Pear"))
    except MimctlError as error:
        print(error.causes[-1])
    """
    behind = "fruit's types.json names it, but mimctl_fruit.models.pear does not have it"
    assert run_with(site, code).splitlines() == ["Plum", behind]
    write_table(site / "mimctl_fruit")
    assert run_with(site, code).splitlines() == ["Plum", "searched the scope fruit"]


def test_threads_have_scopes_of_their_own(site: Path) -> None:
    code = """
    import threading
    from mimctl.engine import MODELS, carry_scope, use_scope
    found, gate = {"fruit": set(), "stone": set()}, threading.Barrier(2)

    def build(scope):
        with use_scope(scope):
            gate.wait()
            for _ in range(300):
                found[scope].add(type(MODELS.build(dict(type="Same"))).__name__)

    threads = [threading.Thread(target=build, args=(scope,)) for scope in found]
    [each.start() for each in threads]; [each.join() for each in threads]
    print(found)
    with use_scope("stone"):
        named = []
        carried = carry_scope(lambda: named.append(type(MODELS.build(dict(type="Same"))).__name__))
        thread = threading.Thread(target=carried)
    thread.start(); thread.join()
    print(named)
    """
    assert run_with(site, code) == "{'fruit': {'SameOfApple'}, 'stone': {'SameOfGranite'}}\n['SameOfGranite']\n"
