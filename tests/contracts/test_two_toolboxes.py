"""Two toolboxes on one engine: a part of one serves in the other, and the engine knows the task of neither."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimctl.config import Config, check

ROOT = Path(__file__).parents[2]
PACKAGES = ("mimctl/engine", "mimctl/vision", "plugins/det/mimctl_det", "plugins/cls/mimctl_cls")
NAMES = ("cls.ResNet", "mmcls.ResNet", "mmpretrain.ResNet")

CONFIG = """
_base_ = {base!r}
model = dict(
    backbone=dict(
        _delete_=True, type={name!r}, depth=18, stem_channels=8, base_channels=8, out_indices=(1, 2, 3){more}),
    neck=dict(in_channels=[16, 32, 64]),
)
"""

STEP = """
    import sys, torch
    from mimctl.config import Config
    from mimctl.engine import MODELS, InstanceData, build_optim_wrapper, use_scope
    from mimctl.vision import DetDataSample
    cfg = Config.fromfile(sys.argv[1])
    torch.manual_seed(0)
    with use_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    truth = InstanceData(bboxes=torch.tensor([[4.0, 4, 40, 50]]), labels=torch.tensor([3]))
    nothing = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    meta = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=meta, gt_instances=truth, ignored_instances=nothing) for _ in range(2)]
    batch = dict(inputs=[torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8) for _ in range(2)], data_samples=samples)
    wrapper = build_optim_wrapper(model, dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)))
    before = model.backbone.conv1.weight.clone()
    losses = [float(model.train().train_step(batch, wrapper)["loss"]) for _ in range(2)]
    with use_scope("det"):
        others = {MODELS.get(name) for name in sys.argv[2:]}
    print(others == {type(model.backbone)}, all(map(torch.isfinite, map(torch.tensor, losses))),
          bool((model.backbone.conv1.weight != before).any()), len(model.eval().test_step(batch)))
    print(*sorted(each for each in sys.modules if each.startswith("mimctl_cls")))
"""


@pytest.fixture
def write(tmp_path: Path):
    """Return a writer of an RTMDet config whose backbone has a given type and further arguments."""

    def write(name: str, more: str = "") -> Path:
        path = tmp_path / "config.py"
        base = str(ROOT / "plugins/det/mimctl_det/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py")
        path.write_text(CONFIG.format(base=base, name=name, more=more), encoding="utf-8")
        return path

    return write


def tables(*packages: str) -> list[dict[str, object]]:
    return [json.loads((ROOT / each / "types.json").read_text(encoding="utf-8")) for each in packages]


def test_a_classifiers_backbone_trains_in_a_detector_and_brings_itself_alone(write) -> None:
    command = [sys.executable, "-c", textwrap.dedent(STEP), str(write(NAMES[0])), *NAMES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    step, modules = done.stdout.splitlines()
    assert step == "True True True 2"
    assert set(modules.split()) == {
        "mimctl_cls",
        "mimctl_cls.models",
        "mimctl_cls.models.backbones",
        "mimctl_cls.models.backbones.resnet",
    }


@pytest.mark.parametrize("name", NAMES)
def test_its_arguments_are_checked_before_anything_starts(name: str, write) -> None:
    assert check(Config.fromfile(write(name)), tables(*PACKAGES)) == []
    (wrong,) = check(Config.fromfile(write(name, ", detph=50")), tables(*PACKAGES))
    assert wrong.code == "bad-argument"
    assert "`detph`" in wrong.message
    assert wrong.hints[0] == "did you mean `depth`?"


def test_a_class_that_a_pure_python_config_imports_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text("from mmpretrain.models import ResNet\nbackbone = dict(type=ResNet, depth=18, base_channels=8)\n")
    from mimctl.engine import MODELS, use_scope

    with use_scope("det"):
        made = MODELS.build(Config.fromfile(path).backbone)
        assert type(made) is MODELS.get(NAMES[0])


def test_a_name_of_the_other_toolbox_without_its_scope_is_told_where_it_is(write) -> None:
    (mistake,) = check(Config.fromfile(write("ResNet")), tables(*PACKAGES))
    assert mistake.code == "unknown-type"
    assert "write `cls.ResNet`" in mistake.hints[0]


def test_without_the_other_toolbox_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    packages = Path(sysconfig.get_paths()["purelib"])
    site = tmp_path / "site"
    site.mkdir()
    for path in packages.iterdir():
        if "mimctl_cls" not in path.name:
            (site / path.name).symlink_to(path)
    code = f"""
    import sys
    sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "plugins/det")!r}, {str(site)!r}]
    from mimctl.engine import MODELS, use_scope
    from mimctl.errors import MimctlError, render
    with use_scope("det"):
        for name in {NAMES}:
            try:
                MODELS.build(dict(type=name, depth=18))
            except MimctlError as error:
                print(render(error), end="\\0")
    """
    done = subprocess.run(  # -S: what this interpreter has installed is not seen
        [sys.executable, "-S", "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=site
    )
    shown = done.stdout.split("\0")[:-1]
    assert [each.splitlines()[0] for each in shown] == [
        f"error[unknown-type]: unknown model `{each}`" for each in NAMES
    ]
    for each in shown:
        assert "the toolbox `cls` is not installed here" in each
        assert "install it: `mimctl install cls`" in each


# What MMEngine's engine has of tasks: functions that draw, two ways to write labels, and these names.
ALLOWED_FILES, ALLOWED_WORDS = {"canvas.py", "structures.py"}, {"draw_gt", "draw_pred", "merge_preds"}
TASK = re.compile(
    r"(?<![a-z])(b?box(es)?|bbox(es)?|polygons?|keypoints?|segmentations?|coco|voc|imagenet|gt|preds?|num_classes|"
    r"detectors?|classifiers?|mimctl_(det|cls))(?![a-z])"
)


def test_no_word_of_a_task_is_in_the_engine() -> None:
    folder = ROOT / "mimctl/engine"
    found = [
        f"{path.relative_to(folder)}:{line}: {word}"
        for path in sorted(folder.rglob("*.py"))
        if path.name not in ALLOWED_FILES
        for line, word in words_of(path)
        if word not in ALLOWED_WORDS and TASK.search(word.lower())
    ]
    assert found == []


def test_the_search_for_words_finds_them(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        '"""Boxes."""\nbboxes = sample.gt_bboxes\ndef f(box=1): raise E(f"no {box} of coco")\ntoolbox = 1\n'
    )
    found = [(line, word) for line, word in words_of(path) if TASK.search(word.lower())]
    assert [(line, word) for line, word in found if line > 1] == [
        (2, "bboxes"),
        (2, "gt_bboxes"),
        (3, "box"),
        (3, " of coco"),
        (3, "box"),
    ]


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the names and texts of a module that it works with: everything but comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "module"):
            if isinstance(word := getattr(node, field, None), str):
                yield getattr(node, "lineno", 0), word
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value
