"""Late references: an override of a variable reaches what the files make of it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mimctl.config import Config
from mimctl.errors import ConfigError

Put = Callable[[str, str], Path]

BASE = """\
max_epochs = 300
base_lr = 0.1
img_scale = (640, 640)
data_root = 'data/coco/'
num_classes = 80
img_norm = dict(mean=[0], std=[1])
train_pipeline = [
    dict(type='Resize', scale=img_scale),
    dict(type='Normalize', **img_norm),
]
train_dataloader = dict(dataset=dict(ann_file=data_root + 'train.json', pipeline=train_pipeline))
val_dataloader = dict(batch_size=1, dataset=dict(ann_file=f'{data_root}val.json'))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs, dynamic_intervals=[(max_epochs - 20, 1)])
param_scheduler = [
    dict(type='LinearLR', end=10),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.5, T_max=max_epochs // 2),
]
model = dict(head=dict(num_classes=num_classes), heads=[dict(n=num_classes) for _ in range(2)])
left_over = 3
"""
CHILD = "_base_ = 'base.py'\ntwice = _base_.max_epochs * 2\ncustom_hooks = [dict(type='Switch', epoch=twice)]\n"


@pytest.fixture
def child(put: Put) -> Path:
    put("base.py", BASE)
    return put("child.py", CHILD)


def differences(old: Any, new: Any, path: str = "") -> dict[str, Any]:
    """Return every leaf that differs, by its dotted path."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        pairs = [(key, old[key], new[key]) for key in old]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(index), left, right) for index, (left, right) in enumerate(zip(old, new, strict=True))]
    else:
        return {} if old == new else {path: new}
    return {
        place: value
        for key, left, right in pairs
        for place, value in differences(left, right, f"{path}.{key}" if path else key).items()
    }


RESIZE = [{"type": "Flip"}]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {"max_epochs": 40},
            {
                "max_epochs": 40,
                "train_cfg.max_epochs": 40,
                "train_cfg.dynamic_intervals.0": (20, 1),
                "param_scheduler.1.T_max": 20,
                "twice": 80,
                "custom_hooks.0.epoch": 80,
            },
        ),
        ({"base_lr": 1.0}, {"base_lr": 1.0, "param_scheduler.1.eta_min": 0.5}),
        (
            {"img_scale": (8, 9)},
            {
                "img_scale": (8, 9),
                "train_pipeline.0.scale": (8, 9),
                "train_dataloader.dataset.pipeline.0.scale": (8, 9),
            },
        ),
        (
            {"data_root": "x/"},
            {
                "data_root": "x/",
                "train_dataloader.dataset.ann_file": "x/train.json",
                "val_dataloader.dataset.ann_file": "x/val.json",
                "test_dataloader.dataset.ann_file": "x/val.json",
            },
        ),
        (
            {"num_classes": 3},
            {"num_classes": 3, "model.head.num_classes": 3, "model.heads.0.n": 3, "model.heads.1.n": 3},
        ),
        (
            {"img_norm.mean": [7]},
            {"img_norm.mean.0": 7, "train_pipeline.1.mean.0": 7, "train_dataloader.dataset.pipeline.1.mean.0": 7},
        ),
        ({"train_pipeline": RESIZE}, {"train_pipeline": RESIZE, "train_dataloader.dataset.pipeline": RESIZE}),
        (
            {"train_pipeline.0.scale": 5},
            {"train_pipeline.0.scale": 5, "train_dataloader.dataset.pipeline.0.scale": 5},
        ),
        ({"val_dataloader.batch_size": 2}, {"val_dataloader.batch_size": 2}),
        (
            {"max_epochs": 40, "train_cfg.max_epochs": 300, "param_scheduler.1.T_max": 150},
            {
                "max_epochs": 40,
                "train_cfg.dynamic_intervals.0": (20, 1),
                "twice": 80,
                "custom_hooks.0.epoch": 80,
            },
        ),
        (
            {"train_pipeline": RESIZE, "train_dataloader.dataset.pipeline.0.type": "Crop"},
            {"train_pipeline": RESIZE, "train_dataloader.dataset.pipeline": [{"type": "Crop"}]},
        ),
        ({"left_over": 4}, {"left_over": 4}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("how", ["while reading", "afterwards"])
def test_what_is_made_of_a_variable_follows_its_override(
    how: str, overrides: Mapping[str, Any], expected: Mapping[str, Any], child: Path
) -> None:
    plain = Config.fromfile(child)
    if how == "while reading":
        config = Config.fromfile(child, overrides=overrides)
    else:
        config = Config.fromfile(child)
        config.merge_from_dict(overrides)
    assert differences(plain.to_dict(), config.to_dict()) == expected


def test_derived_values_name_the_override_as_their_origin(child: Path) -> None:
    config = Config.fromfile(child, overrides={"max_epochs": 40, "train_pipeline": RESIZE})
    paths = (
        "max_epochs",
        "train_cfg.max_epochs",
        "train_cfg.dynamic_intervals",
        "param_scheduler.1.T_max",
        "custom_hooks.0.epoch",
        "train_dataloader.dataset.pipeline",
        "train_dataloader.dataset.pipeline.0.type",
    )
    assert {path: str(config.origin(path)) for path in paths} == {
        "max_epochs": "--cfg-options",
        "train_cfg.max_epochs": "--cfg-options max_epochs",
        "train_cfg.dynamic_intervals": "--cfg-options max_epochs",
        "param_scheduler.1.T_max": "--cfg-options max_epochs",
        "custom_hooks.0.epoch": "--cfg-options max_epochs",
        "train_dataloader.dataset.pipeline": "--cfg-options train_pipeline",
        "train_dataloader.dataset.pipeline.0.type": "--cfg-options",
    }
    assert str(config.origin("param_scheduler.1.eta_min")).endswith("base.py:17")


def test_an_override_of_which_nothing_is_made_is_known(child: Path) -> None:
    config = Config.fromfile(child, overrides={"left_over": 4, "max_epochs": 40, "model.head.num_classes": 2})
    assert config.idle == ("left_over",)
    assert Config.fromfile(child, overrides={"left_over": 3, "new": 1}).idle == ()


def test_what_was_set_since_is_left_alone(child: Path) -> None:
    config = Config.fromfile(child)
    config.train_cfg.max_epochs = 7
    config.merge_from_dict({"param_scheduler.1.T_max": 150})
    config.merge_from_dict({"max_epochs": 40})
    assert config.train_cfg.max_epochs == 7
    assert config.param_scheduler[1].T_max == 150
    assert config.custom_hooks[0].epoch == 80


def test_later_overrides_build_on_earlier_ones(put: Put) -> None:
    path = put("sum.py", "a = 1\nb = 2\nmodel = dict(sum=a + b)")
    config = Config.fromfile(path, overrides={"a": 10})
    config.merge_from_dict({"b": 20})
    copied = config.copy()
    copied.merge_from_dict({"a": 100})
    assert (config.model.sum, copied.model.sum) == (30, 120)


def test_an_override_reaches_every_file_that_assigns_the_variable(put: Put) -> None:
    put("base.py", "epochs = 100\nbase_cfg = dict(n=epochs)")
    child = put("child.py", "_base_ = 'base.py'\nepochs = 200\ntrain_cfg = dict(n=epochs)")
    plain = Config.fromfile(child)
    assert (plain.base_cfg.n, plain.train_cfg.n) == (100, 200)
    config = Config.fromfile(child, overrides={"epochs": 5})
    assert (config.base_cfg.n, config.train_cfg.n, config.epochs) == (5, 5, 5)


def test_a_path_that_one_file_lacks_is_applied_in_the_other(put: Put) -> None:
    put("base.py", "pipeline = [dict(a=1)]\nfirst = dict(p=pipeline)")
    child = put("child.py", "_base_ = 'base.py'\npipeline = [dict(a=1), dict(a=2)]\nsecond = dict(p=pipeline)")
    config = Config.fromfile(child, overrides={"pipeline.1.a": 9})
    assert config.first.p == [{"a": 1}]
    assert config.second.p == [{"a": 1}, {"a": 9}]


def test_nothing_is_made_up_on_the_way_to_a_value_that_a_file_lacks(put: Put) -> None:
    put("base.py", "norm = dict(mean=[dict(x=1)])\nfirst = dict(n=norm)")
    child = put("child.yaml", "_base_: base.py\nnorm: {std: 2}\n")
    config = Config.fromfile(child, overrides={"norm.mean.0.x": 9})
    assert config.norm == {"mean": [{"x": 9}], "std": 2}
    assert config.first.n.mean == [{"x": 9}]


def test_a_variable_that_is_changed_after_its_assignment_stays_overridden(put: Put) -> None:
    text = "norm = dict(mean=1)\nnorm['mean'] = 2\nnorm.update(mean=3)\nscale = [1]\nscale += [2]\n"
    path = put("a.py", text + "model = dict(mean=norm['mean'], scale=scale[0])")
    assert Config.fromfile(path, overrides={"norm.mean": 7, "scale": [5, 6]}).model == {"mean": 7, "scale": 5}


def test_pure_python_configs_follow_too(put: Put) -> None:
    put("base.py", "epochs = 10\nlr = 1\nmodel = dict(epochs=epochs)")
    head = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
    text = head + "    from .base import lr as rate\ntrain_cfg = dict(n=epochs, rate=rate)"
    child = put("child.py", text)
    config = Config.fromfile(child, overrides={"epochs": 3, "rate": 2})
    assert (config.model.epochs, config.train_cfg.n, config.train_cfg.rate, config.lr) == (3, 3, 2, 1)


def test_yaml_and_json_bases_follow_too(put: Put) -> None:
    put("base.yaml", "epochs: 10\n")
    child = put("child.json", json.dumps({"_base_": "base.yaml", "train_cfg": {"n": "{{ _base_.epochs }}"}}))
    assert Config.fromfile(child, overrides={"epochs": 3}).train_cfg.n == 3


def test_text_follows_too() -> None:
    config = Config.fromstring("epochs = 10\ntrain_cfg = dict(n=epochs)")
    config.merge_from_dict({"epochs": 3})
    assert config.train_cfg.n == 3


def test_an_override_that_the_files_cannot_be_evaluated_with_names_the_line(child: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(child, overrides={"max_epochs": "many"})
    assert str(caught.value.origin).endswith("base.py:14")
    assert caught.value.causes == ("`max_epochs` is overridden",)


def test_files_that_are_gone_leave_the_override_where_it_stands(child: Path) -> None:
    config = Config.fromfile(child)
    child.unlink()
    config.merge_from_dict({"max_epochs": 40})
    assert (config.max_epochs, config.train_cfg.max_epochs) == (40, 300)


def test_an_override_in_a_loop_is_charged_for(put: Put) -> None:
    path = put("a.py", "x = 0\nfor i in range(100000):\n    x = i\ny = x")
    with pytest.raises(ConfigError) as caught:
        Config.fromfile(path, overrides={"x": list(range(10000))})
    assert caught.value.code == "config-limits"
