"""CSPNeXt and its neck: strides, channels, freezing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimctl.engine.registry import MODELS
from mimctl.vision.backbones import CSPNeXt
from mimctl.vision.necks import CSPNeXtPAFPN

SMALL = {"deepen_factor": 0.167, "widen_factor": 0.125}


def test_maps_have_the_strides_and_channels_of_their_stages():
    maps = CSPNeXt(out_indices=(0, 1, 2, 3, 4), **SMALL).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (8, 32, 48),
        (16, 16, 24),
        (32, 8, 12),
        (64, 4, 6),
        (128, 2, 3),
    ]


def test_six_stages_and_own_tables_are_possible():
    maps = CSPNeXt(arch="P6", out_indices=(5,), **SMALL).eval()(torch.randn(1, 3, 64, 64))
    assert maps[0].shape == (1, 128, 1, 1)
    own = CSPNeXt(arch_ovewrite=[[64, 128, 3, True, False], [128, 256, 3, False, True]], out_indices=(2,), **SMALL)
    assert own.eval()(torch.randn(1, 3, 32, 32))[0].shape == (1, 32, 4, 4)


def test_impossible_stages_are_refused():
    with pytest.raises(ValueError, match="out_indices"):
        CSPNeXt(out_indices=(5,), **SMALL)
    with pytest.raises(ValueError, match="frozen_stages"):
        CSPNeXt(frozen_stages=5, **SMALL)


def test_frozen_stages_stay_frozen_in_training():
    model = CSPNeXt(frozen_stages=1, **SMALL).train()
    assert not model.stem.training
    assert not model.stage1.training
    assert model.stage2.training
    assert not any(each.requires_grad for each in [*model.stem.parameters(), *model.stage1.parameters()])
    assert all(each.requires_grad for each in model.stage2.parameters())


def test_batch_statistics_can_be_kept_in_training():
    model = CSPNeXt(norm_eval=True, **SMALL).train()
    assert not any(each.training for each in model.modules() if isinstance(each, nn.BatchNorm2d))


def test_neck_keeps_strides_and_evens_channels():
    neck = CSPNeXtPAFPN([8, 16, 32], 12, num_csp_blocks=1, use_depthwise=True).eval()
    maps = (torch.randn(1, 8, 16, 24), torch.randn(1, 16, 8, 12), torch.randn(1, 32, 4, 6))
    assert [tuple(each.shape[1:]) for each in neck(maps)] == [(12, 16, 24), (12, 8, 12), (12, 4, 6)]
    with pytest.raises(ValueError, match="3 maps expected"):
        neck(maps[:2])


def test_every_level_learns_from_every_map():
    neck = CSPNeXtPAFPN([4, 8], 4, num_csp_blocks=1)
    maps = (torch.randn(2, 4, 8, 8, requires_grad=True), torch.randn(2, 8, 4, 4, requires_grad=True))
    for out in neck(maps):
        gradients = torch.autograd.grad(out.square().sum(), maps, retain_graph=True)
        assert all(each.abs().sum() > 0 for each in gradients)


def test_parts_are_built_by_name():
    assert isinstance(MODELS.build({"type": "mmdet.CSPNeXt", **SMALL}), CSPNeXt)
