"""Mistakes that are found before any process starts, each with its place and the nearest name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config, check, parse_override
from mimctl.config.schema import RUNNER_KEYS

ROOT = Path(__file__).resolve().parents[2]


def entry(*required: str, extra: bool = False, **optional: None) -> dict[str, Any]:
    params = {name: {"required": True} for name in required} | {name: {"required": False} for name in optional}
    return {"module": "m", "params": params, "extra": extra}


TABLES = [
    {
        "scope": "engine",
        "kinds": {
            "optimizer": {"SGD": entry("params", lr=None, momentum=None)},
            "optim_wrapper": {"OptimWrapper": entry("optimizer", clip_grad=None, accumulative_counts=None)},
            "param_scheduler": {"LinearLR": entry("optimizer", start_factor=None, begin=None, end=None)},
            "loop": {"EpochBasedTrainLoop": entry("runner", "dataloader", "max_epochs", val_interval=None)},
            "hook": {
                "LoggerHook": entry(interval=None),
                "EarlyHook": entry(),
                "EMAHook": entry(ema_type=None, extra=True),
            },
            "data_sampler": {"DefaultSampler": entry("dataset", shuffle=None)},
        },
    },
    {
        "scope": "vision",
        "kinds": {
            "model": {"BN": entry("num_features", eps=None), "ResNet": entry("depth", norm_cfg=None, init_cfg=None)},
            "transform": {"Resize": entry("scale", keep_ratio=None), "Pad": entry(size=None)},
            "weight_initializer": {"Constant": entry("val", bias=None, layer=None)},
        },
    },
    {
        "scope": "det",
        "kinds": {
            "model": {
                "RTMDet": entry("backbone", bbox_head=None, train_cfg=None, data_preprocessor=None),
                "Head": entry("num_classes", loss=None),
            },
            "dataset": {
                "CocoDataset": entry(ann_file=None, data_root=None, pipeline=None, metainfo=None, filter_cfg=None)
            },
            "metric": {"CocoMetric": entry(ann_file=None, metric=None)},
            "task_util": {"Assigner": entry(topk=None)},
        },
    },
]

GOOD = """
default_scope = 'mmdet'
norm_cfg = dict(type='BN', eps=1e-3, requires_grad=True)
model = dict(
    type='RTMDet',
    backbone=dict(type='ResNet', depth=50, norm_cfg=norm_cfg,
                  init_cfg=dict(type='Constant', val=1, override=dict(name='x'))),
    bbox_head=dict(type='mmdet.Head', num_classes=80),
    train_cfg=dict(assigner=dict(type='Assigner', topk=13), allowed_border=-1),
    data_preprocessor=dict(type='mmcls.SomethingElse', anything=1))
train_pipeline = [dict(type='Resize', scale=(640, 640)), dict(type='mmcv.Pad')]
train_dataloader = dict(
    batch_size=2, num_workers=2, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CocoDataset', ann_file='a', pipeline=train_pipeline))
val_cfg, val_dataloader = dict(), dict(dataset=dict(type='CocoDataset', ann_file='b'))
val_evaluator = [dict(type='CocoMetric', metric='bbox')]
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict(norm_decay_mult=0))
param_scheduler = [dict(type='LinearLR', begin=0, end=5, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
default_hooks = dict(logger=dict(type='LoggerHook', interval=5), extra_one=dict(type='EarlyHook'))
custom_hooks = [dict(type='EMAHook', momentum=0.1, priority=49)]
auto_scale_lr = dict(enable=False, base_batch_size=16)
env_cfg = dict(cudnn_benchmark=False)
tta_model = dict(type='NobodyHasThis')
my_variable = dict(type='NorThis')
"""

Load = Callable[[str], Config]


def found(config: Config) -> list[tuple[str, str, str]]:
    """Return code, place (file name and line) and first hint of every error."""
    return [
        (each.code, str(each.origin).rpartition("/")[2], each.hints[0] if each.hints else "")
        for each in check(config, TABLES)
    ]


def test_a_correct_config_has_no_mistakes(load: Load) -> None:
    assert found(load(GOOD)) == []


def test_schedulers_of_several_optimizers_stand_under_their_names(load: Load) -> None:
    text = GOOD.replace("param_scheduler = [dict(type='LinearLR'", "param_scheduler = dict(a=[dict(type='LinearLR'")
    text = text.replace("convert_to_iter_based=True)]", "convert_to_iter_based=True)], b=dict(type='LinearLR'))")
    assert found(load(text)) == []
    assert found(load(text.replace("b=dict(type='LinearLR')", "b=[dict(type='LinarLR')]"))) == [
        ("unknown-type", "config.py:18", "did you mean `LinearLR`?")
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("type='RTMDet'", "type='RTMDte'", ("unknown-type", 5, "did you mean `RTMDet`?")),
        ("type='Resize'", "type='Rezise'", ("unknown-type", 11, "did you mean `Resize`?")),
        ("dict(type='SGD'", "dict(type='SDG'", ("unknown-type", 17, "did you mean `SGD`?")),
        ("type='CocoDataset'", "type='CocoMetric'", ("unknown-type", 14, "")),
        ("topk=13", "topkk=13", ("bad-argument", 9, "did you mean `topk`?")),
        ("scale=(640, 640)", "scal=(640, 640)", ("bad-argument", 11, "did you mean `scale`?")),
        ("lr=0.1", "learning_rate=0.1", ("bad-argument", 17, "")),
        ("depth=50, ", "", ("missing-argument", 6, "write `depth=…` there, or `--cfg-options model.backbone.depth=…`")),
        ("max_epochs=3", "val_interval=1", ("missing-argument", 19, "")),
        ("dict(type='SGD', lr=0.1)", "dict(lr=0.1)", ("missing-type", 17, "")),
        ("param_scheduler =", "param_schedular =", ("unknown-key", 18, "did you mean `param_scheduler`?")),
        ("env_cfg =", "load_form = None\nenv_cfg =", ("unknown-key", 23, "did you mean `load_from`?")),
        ("cudnn_benchmark", "cudnn_benchmrk", ("unknown-key", 23, "did you mean `cudnn_benchmark`?")),
        ("base_batch_size", "base_batchsize", ("unknown-key", 22, "did you mean `base_batch_size`?")),
        ("norm_decay_mult", "norm_decay_mul", ("unknown-key", 17, "did you mean `norm_decay_mult`")),
        ("batch_size=2", "batchsize=2", ("unknown-key", 13, "did you mean `batch_size`")),
        ("dict(logger=", "dict(loggr=", ("unknown-key", 20, "did you mean `logger`?")),
    ],
)
def test_a_mistake_is_found_with_its_line(load: Load, right: str, wrong: str, expected: tuple[str, int, str]) -> None:
    assert right in GOOD
    errors = found(load(GOOD.replace(right, wrong)))
    code, line, hint = expected
    assert [(each[0], each[1]) for each in errors][:1] == [(code, f"config.py:{line}")]
    assert errors[0][2].startswith(hint)


@pytest.mark.parametrize(
    ("override", "code", "hint"),
    [
        ("model.backone.depth=101", "unknown-override", "did you mean `model.backbone.depth`?"),
        ("model.backbone.dept=101", "unknown-override", "did you mean `model.backbone.depth`?"),
        ("optim_wraper.optimizer.lr=1", "unknown-override", "did you mean `optim_wrapper.optimizer.lr`?"),
        ("optim_wrapper.optimizer.lrr=1", "unknown-override", "did you mean `optim_wrapper.optimizer.lr`?"),
        ("train_dataloader.batchsize=1", "unknown-override", "did you mean `train_dataloader.batch_size`?"),
        ("nonsense=1", "unknown-override", ""),
        ("load_form=x", "unknown-override", "did you mean `load_from`?"),
        ("train_pipeline.0.scale=3", None, ""),
        ("my_variable.x=3", "override-without-effect", ""),
        ("model.backbone.depth=101", None, ""),
        ("model.backbone.norm_cfg.eps=1", None, ""),
        ("optim_wrapper.clip_grad.max_norm=35", None, ""),
        ("optim_wrapper.optimizer.momentum=0.9", None, ""),
        ("custom_hooks.0.anything=1", None, ""),
        ("model.train_cfg.pos_weight=-1", None, ""),
        ("train_dataloader.persistent_workers=True", None, ""),
        ("randomness.seed=1", None, ""),
        ("load_from=x.pth", None, ""),
        ("train_dataloader.dataset.filter_cfg.min_size=3", None, ""),
        ("default_hooks.logger.interval=1", None, ""),
    ],
)
def test_an_override_that_no_file_or_type_knows_is_found(
    load: Load, override: str, code: str | None, hint: str
) -> None:
    config = load(GOOD)
    config.merge_from_dict(dict([parse_override(override)]))
    errors = found(config)
    assert [(each[0], each[1]) for each in errors] == ([(code, "--cfg-options")] if code else [])
    assert not errors or errors[0][2].startswith(hint)


def test_arguments_inherited_from_another_type_are_explained(put: Callable[[str, str], Path]) -> None:
    put("base.py", "model = dict(type='Head', num_classes=3,\n    loss=1)\ndefault_scope = 'det'")
    text = "_base_ = 'base.py'\nmodel = dict(type='RTMDet', backbone=dict(type='ResNet', depth=1))"
    errors = check(Config.fromfile(put("child.py", text)), TABLES)
    assert [(each.code, str(each.origin).rpartition("/")[2]) for each in errors] == [
        ("bad-argument", "base.py:1"),
        ("bad-argument", "base.py:2"),
    ]
    assert "child.py:2" in errors[0].causes[1]
    assert "`_delete_=True`" in errors[0].hints[0]


def test_an_argument_that_a_child_adds_is_not_blamed_on_a_base(put: Callable[[str, str], Path]) -> None:
    put("base.py", "model = dict(type='RTMDet', backbone=dict(type='ResNet', depth=1))\ndefault_scope = 'det'")
    errors = check(Config.fromfile(put("child.py", "_base_ = 'base.py'\nmodel = dict(backbon=1)")), TABLES)
    assert [(each.code, str(each.origin).rpartition("/")[2]) for each in errors] == [("bad-argument", "child.py:2")]
    assert not any("base" in text for text in (*errors[0].causes, *errors[0].hints))


def test_a_variable_that_is_used_is_no_misspelling(load: Load) -> None:
    assert found(load(GOOD + "load_form = 'x'\nload_from = load_form\n")) == []


def test_names_of_toolboxes_without_a_table_are_left_to_the_run(load: Load) -> None:
    assert found(load("default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder', x=1)")) == []
    assert found(load("default_scope = 'det'\nmodel = dict(type='mmseg.EncoderDecoder', x=1)")) == []


def test_a_name_without_its_scope_says_which_toolbox_has_it(load: Load) -> None:
    assert found(load("model = dict(type='RTMDet', backbone=None)")) == [
        ("unknown-type", "config.py:1", "`det` has it: set `default_scope = 'det'`, or write `det.RTMDet`")
    ]


def test_user_code_may_bring_types_and_keys(load: Load) -> None:
    text = GOOD.replace("type='ResNet', depth=50", "type='MyNet', width=3") + "custom_imports = dict(imports=['my'])\n"
    assert found(load(text)) == []


def test_imported_types_are_looked_up_by_their_name(load: Load) -> None:
    text = "from mmdet.models.detectors import RTMDet\nfrom torch.optim import SGD\nfrom my.code import Mine\n"
    text += "model = dict(type=RTMDet, backbone=dict(type=Mine), neck=1)\n"
    text += "optim_wrapper = dict(optimizer=dict(type=SGD, l=1))"
    assert [each[:2] for each in found(load(text))] == [
        ("bad-argument", "config.py:4"),
        ("bad-argument", "config.py:5"),
    ]


def test_the_published_and_own_rtmdet_configs_have_no_mistakes() -> None:
    folders = [ROOT / "mimctl/engine", ROOT / "mimctl/vision", ROOT / "plugins/det/mimctl_det"]
    tables = [json.loads((folder / "types.json").read_text(encoding="utf-8")) for folder in folders]
    own = sorted((folders[-1] / "configs").glob("rtmdet/*.py"))
    assert own
    assert {path.name: [str(each) for each in check(Config.fromfile(path), tables)] for path in own} == {
        path.name: [] for path in own
    }


def test_the_known_top_level_keys_are_what_the_runner_takes() -> None:
    table = json.loads((ROOT / "mimctl/engine/types.json").read_text(encoding="utf-8"))
    assert set(table["kinds"]["runner"]["Runner"]["params"]) - {"cfg", "log_dir"} == RUNNER_KEYS
