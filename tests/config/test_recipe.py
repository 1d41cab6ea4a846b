"""What `--data`, `--epochs`, `--batch`, `--imgsz` and `--lr` change, down to the last dependent value."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mimctl.config import Config, recipe
from mimctl.config.recipe.epochs import move
from mimctl.errors import ConfigError

DETECTOR = """
max_epochs = 300
stage2_num_epochs = 20
base_lr = 0.004
data_root = 'data/coco/'
dataset_type = 'CocoDataset'
img_scales = [(640, 640), (320, 320), (960, 960)]
model = dict(
    type='RTMDet',
    backbone=dict(type='CSPNeXt', out_indices=(2, 3, 4)),
    bbox_head=dict(type='RTMDetSepBNHead', num_classes=80, anchor_generator=dict(strides=[8, 16, 32], scales=[640])))
train_pipeline = [
    dict(type='CachedMosaic', img_scale=(640, 640), pad_val=114.0),
    dict(type='RandomResize', scale=(1280, 1280), ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=(640, 640)),
    dict(type='RandomAffine', border=(-320, -320)),
    dict(type='Pad', size=(640, 640), size_divisor=32)]
test_pipeline = [dict(type='Resize', scale=(640, 640)), dict(type='Pad', size=(640, 640))]
train_dataloader = dict(batch_size=32, dataset=dict(
    type=dataset_type, data_root=data_root, ann_file='annotations/train.json', data_prefix=dict(img='train/'),
    filter_cfg=dict(min_size=32), pipeline=train_pipeline))
val_dataloader = dict(batch_size=5, dataset=dict(
    type=dataset_type, data_root=data_root, ann_file='annotations/val.json', data_prefix=dict(img='val/'),
    pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='data/coco/annotations/val.json', metric='bbox')
test_evaluator = [dict(type='LVISMetric', ann_file='x'), dict(type='VOCMetric')]
train_cfg = dict(max_epochs=300, val_interval=10, dynamic_intervals=[(280, 1)])
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', begin=150, end=300, T_max=150, eta_min=0.0002, convert_to_iter_based=True)]
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=base_lr))
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=10))
custom_hooks = [
    dict(type='EMAHook', begin_iter=5),
    dict(type='PipelineSwitchHook', switch_epoch=280, switch_pipeline=[dict(type='RandomCrop', crop_size=(640, 640))])]
"""


def changed(text: str, change: Any, value: Any) -> Config:
    """Return the config of `text` after one recipe; the recipe itself must leave its config alone."""
    config = Config.fromstring(text)
    before = config.copy()
    overrides = change(config, value)
    assert config == before
    config.merge_from_dict(overrides, origin="--recipe")
    return config


def split(name: str, **extra: Any) -> dict[str, Any]:
    return {
        "dataset_type": "XMLDataset",
        "data_root": "/photos",
        "ann_file": f"{name}.txt",
        "data_prefix": {"sub_data_root": ""},
        "extra": extra or None,
    }


BOXES: dict[str, Any] = {
    "known_metrics": ("CocoMetric", "VOCMetric"),
    "metric": {"type": "CocoMetric", "metric": "bbox"},
}
VOC = recipe.DatasetFacts(
    layout="voc",
    classes=("cat", "dog", "owl"),
    splits={"train": split("train"), "val": split("val", img_subdir="images")},
    lacking={"with_mask": "masks"},
    **BOXES,
)


def test_epochs_move_every_value_that_counts_them() -> None:
    config = changed(DETECTOR, recipe.set_epochs, 60)
    assert config.train_cfg.to_dict() == {"max_epochs": 60, "val_interval": 2, "dynamic_intervals": [(56, 1)]}
    assert config.param_scheduler[0].end == 1000
    assert [config.param_scheduler[1][key] for key in ("begin", "end", "T_max")] == [30, 60, 30]
    assert config.custom_hooks[1].switch_epoch == 56
    assert config.custom_hooks[0].begin_iter == 5
    assert config.default_hooks.checkpoint.interval == 2
    assert (config.max_epochs, config.stage2_num_epochs) == (60, 4)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 12, 97, 299, 300, 600])
def test_phases_stay_in_order_and_the_last_epoch_is_validated(epochs: int) -> None:
    text = DETECTOR.replace("[\n    dict(type='LinearLR', by_epoch=False, begin=0, end=1000),", "[")
    text += (
        "param_scheduler = [dict(type='QuadraticWarmupLR', begin=0, end=5), "
        "dict(type='CosineAnnealingLR', begin=5, T_max=285, end=285), "
        "dict(type='ConstantLR', begin=285, end=300, by_epoch=True), dict(type='MultiStepLR', milestones=[200, 280])]"
    )
    config = changed(text, recipe.set_epochs, epochs)
    phases = [each for each in config.param_scheduler if each.type != "MultiStepLR"]
    assert phases[0].begin == 0
    assert phases[-1].end == epochs
    assert all(each.begin < each.end for each in phases)
    assert all(one.end == two.begin for one, two in itertools.pairwise(phases))
    assert all(1 <= each <= epochs for each in config.param_scheduler[-1].milestones)
    assert epochs % config.train_cfg.val_interval == 0
    assert 0 <= config.custom_hooks[1].switch_epoch <= epochs


def test_moments_keep_their_order() -> None:
    for new in range(1, 40):
        moved = [move(moment, 30, new) for moment in range(31)]
        assert moved == sorted(moved)
        assert (moved[0], moved[-1]) == (0, new)


def test_epochs_of_a_config_that_counts_iterations_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        changed("train_cfg = dict(type='IterBasedTrainLoop', max_iters=90000)", recipe.set_epochs, 3)
    assert caught.value.code == "not-applicable"


def test_image_size_moves_every_pipeline_and_nothing_else() -> None:
    config = changed(DETECTOR, recipe.set_image_size, 320)
    expected = [(320, 320), (640, 640), (320, 320), (-160, -160), (320, 320)]
    for pipeline in (config.train_pipeline, config.train_dataloader.dataset.pipeline):
        keys = ("img_scale", "scale", "crop_size", "border", "size")
        assert [step[key] for step, key in zip(pipeline, keys, strict=True)] == expected
        assert pipeline[1].ratio_range == (0.5, 2.0)
        assert pipeline[4].size_divisor == 32
    assert config.test_dataloader.dataset.pipeline[1].size == (320, 320)
    assert config.custom_hooks[1].switch_pipeline[0].crop_size == (320, 320)
    assert config.img_scales == [(320, 320), (160, 160), (480, 480)]
    assert config.model == Config.fromstring(DETECTOR).model
    assert "640, 640" not in config.pretty_text.replace("scale=(640, 640)", "")


def test_image_size_keeps_the_shape_of_long_and_short_sides() -> None:
    text = (
        "test_dataloader = dict(dataset=dict(type='RepeatDataset', dataset=dict(pipeline=[\n"
        "    dict(type='Resize', scale=(1333, 800)), dict(type='X', scales=[(1333, 640), (1333, 800)])])))"
    )
    steps = changed(text, recipe.set_image_size, 667).test_dataloader.dataset.dataset.pipeline
    assert steps[0].scale == (667, 400)
    assert steps[1].scales == [(667, 320), (667, 400)]
    with pytest.raises(ConfigError, match="no pipeline"):
        changed("model = dict()", recipe.set_image_size, 320)


def test_batch_and_rate_move_what_follows_from_them() -> None:
    config = changed(DETECTOR, recipe.set_batch, 4)
    assert [config[f"{name}_dataloader"].batch_size for name in ("train", "val", "test")] == [4, 4, 4]
    config = changed(DETECTOR, recipe.set_lr, 0.001)
    assert config.optim_wrapper.optimizer.lr == config.base_lr == 0.001
    assert config.param_scheduler[1].eta_min == 5e-05
    for change, value in (
        (recipe.set_batch, 0),
        (recipe.set_lr, 0.0),
        (recipe.set_epochs, 0),
        (recipe.set_image_size, 3),
    ):
        with pytest.raises(ConfigError):
            changed(DETECTOR, change, value)


def test_a_warmup_does_not_outlast_a_short_run() -> None:
    config = Config.fromstring(DETECTOR.replace("max_epochs=300", "max_epochs=20"))
    assert recipe.limit_warmup(config, steps_per_epoch=30) == {"param_scheduler.0.end": 60}
    assert recipe.limit_warmup(config, steps_per_epoch=3000) == {}
    short = Config.fromstring(DETECTOR.replace("max_epochs=300", "max_epochs=1"))
    assert recipe.limit_warmup(short, steps_per_epoch=4) == {"param_scheduler.0.end": 2}


def test_data_sets_datasets_evaluators_and_class_counts() -> None:
    config = changed(DETECTOR, recipe.apply_dataset, VOC)
    train = config.train_dataloader.dataset
    assert (train.type, train.data_root, train.ann_file) == ("XMLDataset", "/photos", "train.txt")
    assert train.data_prefix.to_dict() == {"sub_data_root": ""}
    assert train.metainfo.to_dict() == {"classes": ("cat", "dog", "owl")}
    assert train.pipeline == config.train_pipeline
    assert config.val_dataloader.dataset.img_subdir == "images"
    assert config.test_dataloader.dataset.ann_file == "val.txt"  # no test split: validation stands in
    assert config.val_evaluator.ann_file is None
    assert [each.to_dict() for each in config.test_evaluator] == [
        {"type": "CocoMetric", "metric": "bbox", "ann_file": None},
        {"type": "VOCMetric"},
    ]
    assert config.model.bbox_head.num_classes == 3
    assert (config.data_root, config.dataset_type) == ("/photos", "XMLDataset")


def test_coco_data_are_evaluated_against_their_file() -> None:
    facts = recipe.DatasetFacts(
        layout="coco",
        classes=("a",),
        splits={
            "train": split("train")
            | {"dataset_type": "CocoDataset", "ann_file": "ann/t.json", "truth": "/photos/ann/t.json"}
        },
        **BOXES,
    )
    assert changed(DETECTOR, recipe.apply_dataset, facts).val_evaluator.ann_file == "/photos/ann/t.json"


def test_data_reach_through_wrappers_and_replace_concatenations() -> None:
    text = """
inner = dict(type='CocoDataset', ann_file='a', pipeline=[dict(type='P')])
train_dataloader = dict(dataset=dict(type='MultiImageMixDataset', dataset=inner, pipeline=[dict(type='Q')]))
val_dataloader = dict(dataset=dict(type='RepeatDataset', times=2,
    dataset=dict(type='ConcatDataset', datasets=[inner, dict(type='Other', b=1)])))
"""
    config = changed(text, recipe.apply_dataset, VOC)
    assert config.train_dataloader.dataset.dataset.ann_file == "train.txt"
    assert config.train_dataloader.dataset.pipeline[0].type == "Q"
    only = config.val_dataloader.dataset.dataset
    assert (only.type, only.ann_file, only.pipeline[0].type) == ("XMLDataset", "val.txt", "P")
    assert "datasets" not in only
    assert "_delete_" not in config.pretty_text


def test_class_counts_are_set_in_every_head_but_the_proposal_one() -> None:
    text = DETECTOR + (
        "model = dict(rpn_head=dict(num_classes=1), roi_head=dict(bbox_head=[dict(num_classes=80, loss_cls=dict("
        "num_classes=80)), dict(num_classes=80)], mask_head=dict(num_classes=80)), "
        "bbox_head=dict(num_classes=80, loss_cls=dict(class_weight=[1.0] * 80 + [0.1])), "
        "backbone=dict(num_classes=80), "
        "panoptic_head=dict(num_things_classes=80, num_stuff_classes=53))"
    )
    model = changed(text, recipe.apply_dataset, VOC).model.to_dict()
    assert model == {
        "rpn_head": {"num_classes": 1},
        "roi_head": {
            "bbox_head": [{"num_classes": 3, "loss_cls": {"num_classes": 3}}, {"num_classes": 3}],
            "mask_head": {"num_classes": 3},
        },
        "bbox_head": {"num_classes": 3, "loss_cls": {"class_weight": [1.0, 1.0, 1.0, 0.1]}},
        "backbone": {"num_classes": 80},
        "panoptic_head": {"num_things_classes": 3, "num_stuff_classes": 0},
    }


def test_a_mask_config_refuses_data_with_boxes_only() -> None:
    text = DETECTOR.replace("dict(type='RandomAffine'", "dict(type='LoadAnnotations', with_mask=True), dict(type='X'")
    with pytest.raises(ConfigError, match="trains on masks, and a voc folder has none") as caught:
        changed(text, recipe.apply_dataset, VOC)
    assert caught.value.origin is not None
    with pytest.raises(ConfigError, match="no dataset"):
        changed("model = dict()", recipe.apply_dataset, VOC)


CLASSIFIER = """
data_root = 'data/imagenet'
dataset_type = 'ImageNet'
data_preprocessor = dict(num_classes=1000, mean=[1., 2., 3.])
model = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18),
    head=dict(type='LinearClsHead', num_classes=1000, loss=dict(type='LabelSmoothLoss', num_classes=1000)))
train_dataloader = dict(batch_size=32, dataset=dict(type=dataset_type, data_root=data_root, split='train', indices=9,
    pipeline=[dict(type='LoadImageFromFile'), dict(type='RandomResizedCrop', scale=224), dict(type='PackInputs')]))
val_dataloader = dict(batch_size=32, dataset=dict(type=dataset_type, data_root=data_root, split='val',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=256), dict(type='PackInputs')]))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = [dict(type='Accuracy', topk=(1, 2, 5)), dict(type='SingleLabelMetric')]
"""
DIGITS = """
data_preprocessor = dict(num_classes=10, mean=[33.46])
model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10), head=dict(type='ClsHead'))
train_dataloader = dict(batch_size=128, dataset=dict(type='MNIST', data_prefix='data/mnist', test_mode=False,
    pipeline=[dict(type='Resize', scale=32), dict(type='PackInputs')]))
val_evaluator = dict(type='Accuracy', topk=(1,))
"""


def classes_of(names: tuple[str, ...], *, holds_arrays: bool = False, **arguments: Any) -> recipe.DatasetFacts:
    given = {"dataset_type": "CustomDataset", "data_root": "/p", "ann_file": "", "data_prefix": "train", **arguments}
    return recipe.DatasetFacts(
        layout="folders",
        classes=names,
        splits={"train": {**given, "without": ["split", "indices", "test_mode"]}},
        holds_arrays=holds_arrays,
    )


def test_a_classifier_is_fitted_to_other_classes_and_loses_what_belongs_to_the_old_set() -> None:
    config = changed(CLASSIFIER, recipe.apply_dataset, classes_of(("cat", "dog", "owl")))
    assert config.model.head.to_dict() == {
        "type": "LinearClsHead",
        "num_classes": 3,
        "loss": {"type": "LabelSmoothLoss", "num_classes": 3},
    }
    assert config.data_preprocessor.num_classes == 3
    dataset = config.train_dataloader.dataset.to_dict()
    assert dataset.pop("pipeline")[1] == {"type": "RandomResizedCrop", "scale": 224}
    assert dataset == {
        "type": "CustomDataset",
        "data_root": "/p",
        "ann_file": "",
        "data_prefix": "train",
        "metainfo": {"classes": ("cat", "dog", "owl")},
    }
    assert config.val_evaluator.topk == (1,)
    assert config.test_evaluator[0].topk == (1, 2)
    assert config.test_evaluator[1].to_dict() == {"type": "SingleLabelMetric"}
    assert "_delete_" not in config.pretty_text
    assert changed(CLASSIFIER, recipe.apply_dataset, classes_of(tuple("abcdef"))).val_evaluator.topk == (1, 5)


def test_image_size_of_a_classifier_is_that_of_its_crop() -> None:
    crop = "dict(type='ResizeEdge', scale=256), dict(type='CenterCrop', crop_size=224)"
    config = changed(CLASSIFIER.replace("dict(type='ResizeEdge', scale=256)", crop), recipe.set_image_size, 112)
    assert [config.val_dataloader.dataset.pipeline[at].to_dict() for at in (1, 2)] == [
        {"type": "ResizeEdge", "scale": 128},
        {"type": "CenterCrop", "crop_size": 112},
    ]
    assert config.train_dataloader.dataset.pipeline[1].scale == 112


def test_a_backbone_that_classifies_itself_is_told_the_number_of_classes() -> None:
    config = changed(DIGITS, recipe.apply_dataset, classes_of(("cat", "dog")))
    assert (config.model.backbone.num_classes, config.data_preprocessor.num_classes) == (2, 2)


def test_a_pipeline_of_arrays_begins_to_read_files_in_the_models_colours() -> None:
    config = changed(DIGITS, recipe.apply_dataset, classes_of(("cat", "dog")))
    first = config.train_dataloader.dataset.pipeline[0].to_dict()
    assert first == {"type": "LoadImageFromFile", "color_type": "grayscale"}
    assert [each.type for each in config.train_dataloader.dataset.pipeline[1:]] == ["Resize", "PackInputs"]
    coloured = changed(DIGITS.replace("[33.46]", "[1., 2., 3.]"), recipe.apply_dataset, classes_of(("a", "b")))
    assert coloured.train_dataloader.dataset.pipeline[0].to_dict() == {"type": "LoadImageFromFile"}


def test_pictures_without_files_stay_as_they_are_and_do_not_suit_a_pipeline_of_files() -> None:
    digits = classes_of(("0", "1"), holds_arrays=True, dataset_type="MNIST", ann_file=None, data_prefix="")
    dataset = changed(DIGITS, recipe.apply_dataset, digits).train_dataloader.dataset
    assert [each.type for each in dataset.pipeline] == ["Resize", "PackInputs"]
    assert (dataset.type, dataset.data_root, dataset.data_prefix) == ("MNIST", "/p", "")
    assert "ann_file" not in dataset
    with pytest.raises(ConfigError, match="this config reads image files") as caught:
        changed(CLASSIFIER, recipe.apply_dataset, digits)
    assert caught.value.code == "not-applicable"


def test_pictures_of_any_size_do_not_suit_a_pipeline_without_a_size() -> None:
    text = DIGITS.replace("dict(type='Resize', scale=32), ", "dict(type='RandomCrop', crop_size=32), ")
    with pytest.raises(ConfigError, match="takes pictures as they are") as caught:
        changed(text, recipe.apply_dataset, classes_of(("cat", "dog")))
    assert caught.value.causes == ("its pipeline is RandomCrop, PackInputs",)
