"""Mistakes that people make, each refused before any process starts: its code, its file and line, the nearest name."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.config import Config, LazyReference, check, parse_override, recipe
from mimctl.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mimctl/engine", "mimctl/vision", "plugins/det/mimctl_det")
OVERRIDES = "--cfg-options"

BASE = """\
default_scope = 'det'
data_root = 'data/'
norm_cfg = dict(type='BN', eps=1e-3)
model = dict(
    type='RTMDet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[103.5, 116.3, 123.7], std=[57.4, 57.1, 58.4], bgr_to_rgb=False),
    backbone=dict(
        type='CSPNeXt', arch='P5', deepen_factor=0.33, widen_factor=0.5, norm_cfg=norm_cfg, act_cfg=dict(type='SiLU')),
    neck=dict(type='CSPNeXtPAFPN', in_channels=[128, 256, 512], out_channels=128, num_csp_blocks=1),
    bbox_head=dict(
        type='RTMDetSepBNHead', num_classes=3, in_channels=128,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        loss_cls=dict(type='QualityFocalLoss', beta=2.0, loss_weight=1.0)),
    train_cfg=dict(assigner=dict(type='DynamicSoftLabelAssigner', topk=13), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(nms_pre=30000, score_thr=0.001, nms=dict(type='nms', iou_threshold=0.65), max_per_img=300))
classes = ('cat', 'dog', 'bird')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(640, 640), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset', data_root=data_root, ann_file='train.json', data_prefix=dict(img='train/'),
        metainfo=dict(classes=classes), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        type='CocoDataset', data_root=data_root, ann_file='val.json', metainfo=dict(classes=classes), test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(320, 320), keep_ratio=True),
            dict(type='PackDetInputs')]))
val_evaluator = dict(type='CocoMetric', ann_file='val.json', metric='bbox')
val_cfg = dict(type='ValLoop')
"""

CHILD = """\
_base_ = ['base.py']
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.004, weight_decay=0.05, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=35, norm_type=2),
    accumulative_counts=2,
    paramwise_cfg=dict(
        norm_decay_mult=0, bypass_duplicate=True,
        custom_keys={'backbone.stem': dict(lr_mult=0.1), 'rtm_cls': dict(decay_mult=0.5)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1, by_epoch=True, begin=0, end=12),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='auto', max_keep_ckpts=3))
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, priority=49)]
auto_scale_lr = dict(enable=False, base_batch_size=16)
env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
randomness = dict(seed=1, deterministic=False)
log_processor = dict(type='LogProcessor', window_size=50)
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
"""


@pytest.fixture(scope="module")
def tables() -> list[dict[str, Any]]:
    return [json.loads((ROOT / package / "types.json").read_text(encoding="utf-8")) for package in PACKAGES]


Put = Callable[[str, str], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """An edit, or an override, and what is said of it. `at` is a piece of the line that is blamed (default: `to`)."""

    code: str
    near: str = ""
    of: str = ""
    to: str = ""
    at: str = ""
    also: str = ""
    """Text that is added to the end of the child."""
    override: tuple[str, ...] = ()


def edit(of: str, to: str, code: str, near: str = "", *, at: str = "") -> Wrong:
    return Wrong(of=of, to=to, code=code, near=near, at=at)


def add(text: str, code: str, near: str = "", *, at: str = "") -> Wrong:
    return Wrong(also=text, code=code, near=near, at=at)


def option(*text: str, code: str, near: str = "") -> Wrong:
    return Wrong(override=text, code=code, near=near)


MISTAKES: Mapping[str, list[Wrong]] = {
    "misspelled top-level keys": [
        edit("param_scheduler =", "param_schedular =", "unknown-key", "param_scheduler"),
        edit("load_from =", "load_form =", "unknown-key", "load_from"),
        edit("optim_wrapper =", "optim_wraper =", "unknown-key", "optim_wrapper"),
        edit("default_hooks =", "defualt_hooks =", "unknown-key", "default_hooks"),
        edit("custom_hooks =", "custom_hook =", "unknown-key", "custom_hooks"),
        edit("auto_scale_lr =", "auto_scale_rl =", "unknown-key", "auto_scale_lr"),
        edit("val_evaluator =", "val_evalutor =", "unknown-key", "val_evaluator"),
        edit("randomness =", "randomnes =", "unknown-key", "randomness"),
        edit("resume =", "resum =", "unknown-key", "resume"),
        add("_bases_ = ['x.py']", "unknown-key", "_base_"),
        add("lr_config = dict(step=[1])", "unknown-key"),
        add("custom_import = dict(imports=['x'])", "unknown-key", "custom_imports"),
    ],
    "overrides that reach nothing": [
        option("model.backone.depth=101", code="unknown-override", near="model.backbone"),
        option("model.backbone.widen_facter=1", code="unknown-override", near="model.backbone.widen_factor"),
        option("optim_wrapper.optimizer.lrr=1", code="unknown-override", near="optim_wrapper.optimizer.lr"),
        option("train_dataloader.batchsize=1", code="unknown-override", near="train_dataloader.batch_size"),
        option("train_cfg.max_epoch=1", code="unknown-override", near="train_cfg.max_epochs"),
        option("env_cfg.cudnn_benchmrk=True", code="unknown-override", near="env_cfg.cudnn_benchmark"),
        option("env_cfg.dist_cfg.backnd=gloo", code="unknown-override", near="env_cfg.dist_cfg.backend"),
        option("optim_wraper.optimizer.lr=1", code="unknown-override", near="optim_wrapper.optimizer.lr"),
        option("lr=0.1", code="unknown-override"),
    ],
    "wrong keys of plain parts": [
        edit("norm_decay_mult=0", "norm_decay_mul=0", "unknown-key", "norm_decay_mult"),
        edit("dict(lr_mult=0.1)", "dict(lr_mul=0.1)", "unknown-key", "lr_mult"),
        edit("logger=dict(", "loger=dict(", "unknown-key", "logger"),
        edit("checkpoint=dict(type='CheckpointHook', ", "checkpoints=dict(", "unknown-key", "checkpoint"),
        edit("cudnn_benchmark=", "cudnn_benchmarks=", "unknown-key", "cudnn_benchmark"),
        edit("opencv_num_threads=0", "opencv_num_thread=0", "unknown-key", "opencv_num_threads"),
        edit("backend='nccl'", "bakend='nccl'", "unknown-key", "backend"),
        edit("base_batch_size=16", "base_batchsize=16", "unknown-key", "base_batch_size"),
        edit("batch_size=8", "batchsize=8", "unknown-key", "batch_size"),
        edit("num_workers=4", "workers=4", "unknown-key", "num_workers"),
        edit("seed=1", "sed=1", "unknown-key", "seed"),
        edit("max_norm=35", "max_nrom=35", "unknown-key", "max_norm"),
        edit("score_thr=0.001", "score_thrr=0.001", "unknown-key", "score_thr"),
        edit("max_per_img=300", "max_per_image=300", "unknown-key", "max_per_img"),
        edit("iou_threshold=0.65", "iou_treshold=0.65", "unknown-key", "iou_threshold"),
        edit("window_size=50", "windows_size=50", "bad-argument", "window_size"),
        edit("metainfo=dict(classes=classes), pipe", "metainfo=dict(CLASSES=classes), pipe", "unknown-key", "classes"),
        edit("metainfo=dict(classes=classes), pipe", "metainfo=dict(clases=classes), pipe", "unknown-key", "classes"),
        edit("data_prefix=dict(img=", "data_prefix=dict(imgg=", "unknown-key", "img"),
        add("train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty=1, min_sise=32)))", "unknown-key",
            "min_size"),
    ],
    "wrong types": [
        edit("type='AdamW'", "type='AdmW'", "unknown-type", "AdamW"),
        edit("type='RTMDet',", "type='RTMdet',", "unknown-type", "RTMDet"),
        edit("type='LinearLR'", "type='LinearLr'", "unknown-type", "LinearLR"),
        edit("type='LoggerHook'", "type='LogerHook'", "unknown-type", "LoggerHook"),
        edit("type='CocoMetric'", "type='CocoMetrics'", "unknown-type", "CocoMetric"),
        edit("type='RandomFlip'", "type='RandomFlop'", "unknown-type", "RandomFlip"),
        edit("type='DefaultSampler'", "type='DefaultSample'", "unknown-type", "DefaultSampler"),
        edit("type='EpochBasedTrainLoop'", "type='EpochTrainLoop'", "unknown-type", "EpochBasedTrainLoop"),
        edit("type='DetLocalVisualizer'", "type='DetVisualizer'", "unknown-type", "DetLocalVisualizer"),
        edit("type='LocalVisBackend'", "type='LocalVisBackends'", "unknown-type", "LocalVisBackend"),
        edit("type='BN'", "type='BNN'", "unknown-type", "BN"),
        edit("act_cfg=dict(type='SiLU')", "act_cfg=dict(type='Silu')", "unknown-type", "SiLU"),
        edit("type='OptimWrapper'", "type='AMPOptimWrapper'", "unknown-type", "AmpOptimWrapper"),
        edit("ema_type='ExpMomentumEMA'", "ema_type='ExpMomentEMA'", "unknown-type", "ExpMomentumEMA"),
        edit("type='CocoDataset', data_root=data_root, ann_file='train", "type='CocoMetric', data_root=data_root, "
             "ann_file='train", "unknown-type"),
        edit("type='EMAHook'", "type=None", "unknown-type"),
        edit("optimizer=dict(type='AdamW', ", "optimizer=dict(", "missing-type"),
        edit("default_scope = 'det'", "default_scope = 'mmdett'", "unknown-scope", "mmdet"),
        edit("type='CSPNeXt'", "type='mmdte.CSPNeXt'", "unknown-scope", "mmdet"),
        edit("dict(type='EMAHook'", "dict(_scope_='mmengin', type='EMAHook'", "unknown-scope", "mmengine"),
    ],
    "wrong arguments": [
        edit("topk=13", "top_k=13", "bad-argument", "topk"),
        edit("scale=(640, 640)", "img_scale=(640, 640)", "bad-argument", "scale"),
        edit("lr=0.004", "learning_rate=0.004", "bad-argument"),
        edit("interval=50", "intervall=50", "bad-argument", "interval"),
        edit("milestones=[8, 11], ", "", "missing-argument", at="type='MultiStepLR'"),
        edit("ann_file='train.json', ", "", "missing-argument", at="data_prefix=dict(img='train/')"),
        edit("num_classes=3, ", "", "missing-argument", at="type='RTMDetSepBNHead'"),
        edit("max_epochs=12, ", "", "missing-argument", at="train_cfg = "),
        edit("dict(type='RandomFlip', prob=0.5)", "dict(type='RandomCrop')", "missing-argument"),
        add("model = dict(backbone=dict(type='BN', num_features=3))", "bad-argument", at="arch='P5'"),
        add("model = dict(neck=dict(_delete=True, type='CSPNeXtPAFPN'))", "bad-argument", "_delete_"),
        edit("momentum=0.0002", "momentm=0.0002", "bad-argument", "momentum"),
        edit("ema_type='ExpMomentumEMA'", "ema_typ='ExpMomentumEMA'", "bad-argument", "ema_type"),
        add("model = dict(extra=dict(_delete_=True))", "delete-without-effect"),
    ],
    "wrong values": [
        edit("lr=0.004", "lr='0.004'", "bad-value"),
        edit("batch_size=8", "batch_size=2.5", "bad-value"),
        edit("batch_size=8", "batch_size='8'", "bad-value"),
        edit("scale=(640, 640)", "scale='640'", "bad-value"),
        edit("scale=(640, 640)", "scale=(640,)", "bad-value"),
        edit("milestones=[8, 11]", "milestones=8", "bad-value"),
        edit("max_epochs=12", "max_epochs=True", "bad-value"),
        edit("betas=(0.9, 0.999)", "betas=0.9", "bad-value"),
        edit("num_classes=3", "num_classes='3'", "bad-value"),
        edit("keep_ratio=True),\n    dict(type='RandomFlip'", "keep_ratio='yes'),\n    dict(type='RandomFlip'",
             "bad-value", at="keep_ratio='yes'"),
        edit("persistent_workers=True", "persistent_workers='True'", "bad-value"),
        edit("mp_start_method='fork'", "mp_start_method='forkk'", "bad-value", "fork"),
        edit("log_level = 'INFO'", "log_level = 'INFOS'", "bad-value", "INFO"),
        edit("priority=49", "priority='VERYHIGH'", "bad-value", "VERY_HIGH"),
        edit("custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, priority=49)]",
             "custom_hooks = dict(type='EMAHook')", "bad-value"),
        edit("resume = False", "resume = 3", "bad-value"),
        edit("load_from = None", "load_from = ['x.pth']", "bad-value"),
        edit("norm_decay_mult=0", "norm_decay_mult='0'", "bad-value"),
        edit("enable=False", "enable='false'", "bad-value"),
        add("train_dataloader = dict(dataset=dict(pipeline='LoadImageFromFile'))", "bad-value"),
        option("optim_wrapper.optimizer.lr=O.1", code="bad-value"),
        edit("type='OptimWrapper'", "type='AmpOptimWrapper', loss_scale='dynamicc'", "bad-value", "dynamic"),
        edit("type='OptimWrapper'", "type='AmpOptimWrapper', dtype='fp16'", "bad-value"),
        edit("metric='bbox'", "metric='bboxes'", "bad-value", "bbox"),
        edit("metric='bbox'", "metric=['bbox', 'segmm']", "bad-value", "segm"),
        edit("save_best='auto'", "save_best='auto', rule='grater'", "bad-value", "greater"),
        edit("backend='nccl'", "backend='ncl'", "bad-value", "nccl"),
        edit("type='nms'", "type='nmss'", "bad-value", "nms"),
        edit("prob=0.5", "prob=0.5, direction='horizontl'", "bad-value", "horizontal"),
        add("custom_hooks = ['EMAHook']", "bad-value"),
        add("train_dataloader = dict(dataset=dict(pipeline=['LoadImageFromFile']))", "bad-value"),
        option("optim_wrapper.optimizer=SGD", code="bad-value"),
        option("launcher=slum", code="bad-value", near="slurm"),
    ],
    "numbers out of range": [
        edit("batch_size=8", "batch_size=0", "bad-value"),
        edit("num_workers=4", "num_workers=-1", "bad-value"),
        edit("lr=0.004", "lr=-0.004", "bad-value"),
        edit("max_epochs=12", "max_epochs=-12", "bad-value"),
        edit("val_interval=1", "val_interval=0", "bad-value"),
        edit("interval=50", "interval=0", "bad-value"),
        edit("accumulative_counts=2", "accumulative_counts=0", "bad-value"),
        edit("prob=0.5", "prob=5", "bad-value"),
        edit("scale=(640, 640)", "scale=(640, 0)", "bad-value"),
        edit("num_classes=3", "num_classes=0", "bad-value"),
        edit("betas=(0.9, 0.999)", "betas=(0.9, 9.99)", "bad-value"),
        edit("start_factor=0.001", "start_factor=0", "bad-value"),
        edit("priority=49", "priority=200", "bad-value"),
        edit("base_batch_size=16", "base_batch_size=0", "bad-value"),
        edit("max_norm=35", "max_norm=-1", "bad-value"),
        edit("std=[57.4, 57.1, 58.4]", "std=[57.4, 0, 58.4]", "bad-value"),
        edit("milestones=[8, 11]", "milestones=[11, 8]", "bad-value"),
    ],
    "parts that never act": [
        edit("begin=0, end=500", "begin=500, end=500", "contradiction"),
        edit("begin=0, end=12", "begin=20, end=12", "contradiction"),
        edit("max_epochs=12, val", "max_epochs=12, by_epoch=False, val", "contradiction"),
        add("resume = 'a.pth'\nload_from = 'b.pth'", "contradiction", at="resume = 'a.pth'"),
        edit("type='EpochBasedTrainLoop', max_epochs=12", "type='IterBasedTrainLoop', max_iters=12", "contradiction",
             at="type='MultiStepLR'"),
        edit("'rtm_cls': dict", "'rtm_clss': dict", "unknown-parameter", "rtm_cls"),
        edit("'backbone.stem': dict", "'backbon.stem': dict", "unknown-parameter", "backbone.stem"),
        edit("logger=dict(type='LoggerHook', interval=50)", "other=dict(type='LoggerHook')", "repeated-hook"),
        edit("custom_hooks = [", "custom_hooks = [dict(type='CheckpointHook', interval=5), ", "repeated-hook"),
        edit("custom_hooks = [", "custom_hooks = [dict(type='EMAHook'), ", "repeated-hook"),
    ],
    "halves": [
        edit("val_evaluator = dict(type='CocoMetric', ann_file='val.json', metric='bbox')", "val_evaluator = None",
             "incomplete"),
        option("val_dataloader=None", code="incomplete"),
        option("val_cfg=None", code="incomplete"),
        option("optim_wrapper=None", code="incomplete"),
        add("test_dataloader = dict(dataset=dict(type='CocoDataset', ann_file='x'))", "incomplete"),
        add("test_evaluator = dict(type='CocoMetric')\ntest_dataloader = None", "incomplete",
            at="test_dataloader = "),
    ],
    "pipelines": [
        edit("    dict(type='RandomFlip', prob=0.5),\n    dict(type='PackDetInputs'),\n",
             "    dict(type='RandomFlip', prob=0.5),\n", "incomplete-pipeline", at="pipeline=train_pipeline"),
        edit("    dict(type='LoadAnnotations', with_bbox=True),\n", "", "incomplete-pipeline",
             at="pipeline=train_pipeline"),
        edit("    dict(type='RandomFlip', prob=0.5),\n    dict(type='PackDetInputs'),",
             "    dict(type='PackDetInputs'),\n    dict(type='RandomFlip', prob=0.5),", "incomplete-pipeline",
             at="dict(type='RandomFlip', prob=0.5),"),
        edit("    dict(type='LoadImageFromFile'),\n    dict(type='LoadAnnotations', with_bbox=True),",
             "    dict(type='Resize', scale=(9, 9)),\n    dict(type='LoadImageFromFile'),\n"
             "    dict(type='LoadAnnotations', with_bbox=True),", "incomplete-pipeline", at="scale=(9, 9)"),
    ],
    "classes": [
        edit("num_classes=3", "num_classes=80", "class-mismatch"),
        edit("metainfo=dict(classes=classes), test_mode", "test_mode", "class-mismatch",
             at="ann_file='val.json', test"),
        edit("metainfo=dict(classes=classes), test_mode", "metainfo=dict(classes=('a', 'b')), test_mode",
             "class-mismatch"),
        edit("classes = ('cat', 'dog', 'bird')", "classes = ('cat', 'dog', 'cat')", "class-mismatch",
             at="metainfo=dict(classes=classes), pipeline"),
        edit("classes = ('cat', 'dog', 'bird')", "classes = ('cat')", "class-mismatch",
             at="metainfo=dict(classes=classes), pipeline"),
        edit("metainfo=dict(classes=classes), pipeline",
             "metainfo=dict(classes=classes, palette=[(1, 2, 3)]), pipeline", "class-mismatch"),
        option("model.bbox_head.num_classes=4", code="class-mismatch"),
        add("model = dict(roi_head=dict(bbox_head=[dict(type='OtherHead', num_classes=3),\n    "
            "dict(type='OtherHead', num_classes=2)]))", "class-mismatch", at="num_classes=2"),
        add("model = dict(roi_head=dict(mask_head=dict(type='FCNMaskHead', num_classes=81)))", "class-mismatch"),
        add("train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2, dataset=dict(\n"
            "    type='CocoDataset', ann_file='a', metainfo=dict(classes=('a', 'b')),\n"
            "    pipeline=_base_.train_pipeline)))",
            "class-mismatch", at="metainfo=dict(classes=classes), test_mode"),
        Wrong(override=("train_dataloader.dataset.metainfo.classes=a,b,c,d",), code="class-mismatch",
              at="num_classes=3"),
    ],
    "what Python swallows": [
        add("extra = {'a': 1, 'b': 2, 'a': 3}", "repeated-key"),
        add("work_dir = 'a'\nother = dict(x={'lr': 1,\n    'lr': 2})", "repeated-key", at="'lr': 2"),
    ],
}  # fmt: skip

CASES = [
    pytest.param(wrong, id=f"{group}-{number}") for group, held in MISTAKES.items() for number, wrong in enumerate(held)
]


def made(wrong: Wrong, put: Put) -> tuple[Config, dict[str, str]]:
    texts = {"base.py": BASE, "child.py": CHILD}
    holder = next((name for name, text in texts.items() if wrong.of and wrong.of in text), "child.py")
    assert not wrong.of or wrong.of in texts[holder]
    if wrong.of:
        texts[holder] = texts[holder].replace(wrong.of, wrong.to, 1)
    texts["child.py"] += f"{wrong.also}\n" if wrong.also else ""
    paths = {name: put(name, text) for name, text in texts.items()}
    overrides = dict(parse_override(each) for each in wrong.override)
    return Config.fromfile(paths["child.py"], overrides=overrides), texts


def place_of(wrong: Wrong, texts: Mapping[str, str]) -> list[str]:
    """Return `file:line` of every line that holds what is blamed."""
    if wrong.override and not wrong.at:
        return [OVERRIDES]
    piece = (wrong.at or wrong.to or wrong.also).partition("\n")[0]
    lines = [(name, number, line) for name, text in texts.items() for number, line in enumerate(text.split("\n"), 1)]
    return [f"{name}:{number}" for name, number, line in lines if piece in line]


def test_there_are_enough_mistakes() -> None:
    assert len(CASES) >= 80


@pytest.mark.parametrize("wrong", CASES)
def test_a_mistake_is_refused_with_its_place_and_the_nearest_name(
    wrong: Wrong, put: Put, tables: list[dict[str, Any]]
) -> None:
    config, texts = made(wrong, put)
    errors = [(each.code, str(each.origin).rpartition("/")[2], each.hints) for each in check(config, tables)]
    places = place_of(wrong, texts)
    assert places
    found = [hints for code, place, hints in errors if code == wrong.code and place in places]
    assert found, errors
    assert not wrong.near or any(f"`{wrong.near}`" in hint for hints in found for hint in hints), found


def test_the_config_that_the_mistakes_are_made_in_has_none(put: Put, tables: list[dict[str, Any]]) -> None:
    config, _ = made(Wrong(code=""), put)
    assert [(each.message, str(each.origin)) for each in check(config, tables)] == []


JUNK: list[Any] = [
    None, True, 0, -1, 2.5, float("nan"), float("inf"), "", "x", "a.b.c", [], (), {}, [None], [[]], [{}], (1,), b"x",
    {"type": None}, {"type": 3}, {"type": "SGD"}, {"type": ["a"]}, {1: 2}, {None: 1},
    {"type": "CocoDataset", "metainfo": 3}, {"_delete_": True}, {"_scope_": 3, "type": "x"},
    LazyReference("torch.optim", "SGD"), LazyReference("os"), 10**30,
]  # fmt: skip


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in pairs for each in places_in(item, (*path, key)))]


def test_whatever_stands_in_a_config_is_checked_to_the_end(put: Put, tables: list[dict[str, Any]]) -> None:
    values = made(Wrong(code=""), put)[0].to_dict()
    places = [each for each in places_in(values) if each]

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.sampled_from(places), st.sampled_from(JUNK)), min_size=1, max_size=4))
    def check_with(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
        changed = copy.deepcopy(values)
        for (*above, last), junk in changes:
            holder: Any = changed
            with contextlib.suppress(KeyError, TypeError, IndexError):
                for key in above:
                    holder = holder[key]
                holder[last] = copy.deepcopy(junk)
        for error in check(Config(changed), tables):
            json.dumps(error.to_dict())

    check_with()


def line_of(text: str, piece: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if piece in line)


def test_all_mistakes_of_a_config_are_told_at_once(put: Put, tables: list[dict[str, Any]]) -> None:
    put("base.py", BASE.replace("topk=13", "top_k=13").replace("type='RandomFlip'", "type='RandomFlop'"))
    text = CHILD.replace("lr=0.004", "lr='0.004'").replace("param_scheduler =", "param_schedular =")
    config = Config.fromfile(put("child.py", text), overrides=dict([parse_override("model.bbox_head.num_classes=4")]))
    found = {(each.code, str(each.origin).rpartition("/")[2]) for each in check(config, tables)}
    assert found >= {
        ("bad-argument", f"base.py:{line_of(BASE, 'topk=13')}"),
        ("unknown-type", f"base.py:{line_of(BASE, 'RandomFlip')}"),
        ("bad-value", "child.py:5"),
        ("unknown-key", "child.py:11"),
        ("class-mismatch", OVERRIDES),
    }


def test_an_argument_that_a_base_gave_to_another_type_names_both_files(put: Put, tables: list[dict[str, Any]]) -> None:
    put("base.py", BASE)
    put("parent.py", CHILD)
    text = "_base_ = 'parent.py'\noptim_wrapper = dict(optimizer=dict(type='SGD', momentum=0.9))\n"
    (error,) = check(Config.fromfile(put("last.py", text)), tables)
    assert error.message == "`SGD` takes no argument `betas`"
    assert str(error.origin).endswith("parent.py:5")
    assert any("last.py:2" in each for each in error.causes)
    assert any("`_delete_=True`" in each for each in error.hints)


def test_a_class_mismatch_names_both_places(put: Put, tables: list[dict[str, Any]]) -> None:
    config, _ = made(edit("num_classes=3", "num_classes=80", ""), put)
    (error,) = check(config, tables)
    assert str(error.origin).endswith("base.py:12")
    assert error.message == "`RTMDetSepBNHead` at `model.bbox_head` has 80 classes, and the dataset of `train` has 3"
    assert any(f"base.py:{line_of(BASE, 'classes=classes')}" in each for each in error.causes)


def test_the_classes_of_a_dataset_are_those_of_its_type_where_the_config_names_none(
    put: Put, tables: list[dict[str, Any]]
) -> None:
    put("base.py", BASE.replace("metainfo=dict(classes=classes), ", "").replace("num_classes=3", "num_classes=20"))
    (error,) = check(Config.fromfile(put("child.py", CHILD)), tables)
    assert error.code == "class-mismatch"
    assert "`CocoDataset`, the dataset of `train`, has 80" in error.message


def test_checking_loads_no_torch_and_takes_milliseconds(put: Put) -> None:
    put("base.py", BASE)
    path = put("child.py", CHILD.replace("lr=0.004", "lr='0.004'"))
    code = (
        "import json, sys, time\n"
        "from mimctl.config import Config, check\n"
        f"tables = [json.load(open(f'{ROOT}/{{each}}/types.json')) for each in {PACKAGES!r}]\n"
        f"config = Config.fromfile({str(path)!r})\n"
        "first = check(config, tables)\n"
        "start = time.process_time()\n"
        "for _ in range(20): check(config, tables)\n"
        "spent = (time.process_time() - start) / 20\n"
        "heavy = {'torch', 'numpy', 'cv2'} & set(sys.modules)\n"
        "print(json.dumps([len(first), spent, sorted(heavy)]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    num_errors, spent, heavy = json.loads(ran.stdout)
    assert (num_errors, heavy) == (1, [])
    assert spent < 0.03, f"checking took {spent * 1000:.1f} ms; it takes about 3 on an idle core"


WRONG_AS_PUBLISHED = {
    ("pascal_voc/*-cocofmt.py", "`CocoMetric` takes no argument `eval_mode`"),  # left over from VOCMetric
    ("mff/benchmarks/*-linear-*.py", "`Pretrained` at `model.backbone.init_cfg` needs the argument `checkpoint`"),
    ("twins/*.py", "`optim_wrapper.paramwise_cfg` has no key `_delete`"),  # `_delete_` is meant
    ("recognition/tsm/*_sthv2-rgb.py", "`test_dataloader` has no key `pipeline`"),  # the dataset's are meant
    ("recognition/tsm/*_sthv2-rgb.py", "`test_dataloader` has no key `test_mode`"),
    ("skeleton/posec3d/*_gym-limb.py", "`train_dataloader` is a tuple, and takes a dict or None"),  # a comma at the end
}
"""Published configs that are wrong: pattern of the file, what is wrong."""


def is_wrong_as_published(path: str, message: str) -> bool:
    return any(fnmatch(path, pattern) and message == said for pattern, said in WRONG_AS_PUBLISHED)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["mmdet", "mmpretrain", "mmseg", "mmpose", "mmyolo", "mmocr", "mmaction"])
def test_no_correct_published_config_is_refused_for_what_is_known(
    package: str, sources: dict[str, Path], tables: list[dict[str, Any]]
) -> None:
    """Types that no toolbox of ours has are unknown; of those that they have nothing may be refused."""
    if package not in sources:
        pytest.skip(f"MIMCTL_TEST_CONFIGS names no wheel of {package}")

    def search(name: str) -> Path:
        toolbox, _, inner = name.partition("::")
        return sources.get(toolbox, Path("absent")) / inner

    refused, num_checked, spent = [], 0, 0.0
    for path in sorted(sources[package].rglob("*.py")):
        try:
            config = Config.fromfile(path, search=search)
        except ConfigError:
            continue  # what cannot be read is another test's matter
        start = time.process_time()
        errors = check(config, tables)
        spent += time.process_time() - start
        num_checked += 1
        shown = path.relative_to(sources[package]).as_posix()
        messages = [each.message for each in errors if not each.message.startswith("unknown ")]
        refused += [(shown, each) for each in messages if not is_wrong_as_published(shown, each)]
    assert num_checked > (800 if package in ("mmdet", "mmpretrain") else 50)
    assert refused == []
    assert spent / num_checked < 0.05


@pytest.mark.parametrize("package", ["mmdet-lazy", "mmpretrain-lazy"])
def test_no_correct_pure_python_config_is_refused_for_what_is_known(
    package: str, test_reference: Path, tables: list[dict[str, Any]]
) -> None:
    refused = []
    with tarfile.open(test_reference / "configs" / f"{package}.tar.gz") as opened:
        for member in opened:
            stream = opened.extractfile(member)
            if stream is not None:
                errors = check(Config(from_reference(json.load(stream))), tables)
                refused += [(member.name, each.message) for each in errors if not is_kept_back(each)]
    wrong = [each for each in refused if not any(fnmatch(each[0], pattern) for pattern in BROKEN_PURE_PYTHON)]
    assert wrong == []


BROKEN_PURE_PYTHON = {
    "beit*/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py.json",  # datasets without a type
    "common/ms_3x_coco.py.json",  # a loop of epochs that is given iterations
    "mask_rcnn/mask_rcnn_x101_32x8d_fpn_ms_poly_1x_coco.py.json",  # datasets without a type
    "maskformer/maskformer_swin_l_p4_w12_64xb1_ms_300e_coco.py.json",  # `_delete_` left over
    "swin_transformer/swin_*.py.json",  # the optimizer is lost, or has `_delete_` left over
}
"""Pure-Python configs that MMEngine loads and cannot run."""


def is_kept_back(error: ConfigError) -> bool:
    return error.message.startswith("unknown ")


def from_reference(value: Any) -> Any:
    """Return a value that the reference wrote as JSON."""
    if isinstance(value, dict) and set(value) == {"$lazy"}:
        module, _, name = value["$lazy"].rpartition(".")
        return LazyReference(module, name)
    if isinstance(value, dict) and set(value) == {"$tuple"}:
        return tuple(map(from_reference, value["$tuple"]))
    if isinstance(value, dict):
        return {key: from_reference(item) for key, item in value.items()}
    return list(map(from_reference, value)) if isinstance(value, list) else value


def test_our_own_configs_and_recipes_have_no_mistakes(tables: list[dict[str, Any]], tmp_path: Path) -> None:
    configs = sorted((ROOT / "plugins/det/mimctl_det/configs/rtmdet").glob("*.py"))
    assert len(configs) > 6
    split = {
        "dataset_type": "CocoDataset",
        "data_root": str(tmp_path),
        "ann_file": "a.json",
        "data_prefix": {"img": ""},
    }
    facts = recipe.DatasetFacts(layout="coco", classes=("a", "b"), splits={"train": split, "val": split})
    for path in configs:
        config = Config.fromfile(path)
        assert [each.message for each in check(config, tables)] == [], path
        for change, value in (
            (recipe.apply_dataset, facts),
            (recipe.set_epochs, 30),
            (recipe.set_batch, 2),
            (recipe.set_image_size, 320),
            (recipe.set_lr, 0.001),
        ):
            config.merge_from_dict(change(config, value), origin="--data")
        assert [each.message for each in check(config, tables)] == [], path
