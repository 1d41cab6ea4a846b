"""The residual family: strides and channels, freezing, initial weights, recomputation, impossible arguments."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimctl.vision.backbones.residual import BasicBlock
from mimctl.vision.backbones.resnet import ResNet, ResNetV1c, ResNetV1d, ResNeXt

SMALL = {"stem_channels": 8, "base_channels": 8}


def test_maps_have_the_strides_and_channels_of_their_stages():
    maps = ResNet(50, out_indices=(0, 1, 2, 3), **SMALL).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(each.shape[1:]) for each in maps] == [(32, 16, 24), (64, 8, 12), (128, 4, 6), (256, 2, 3)]


def test_dilation_replaces_stride():
    maps = ResNet(18, out_indices=(2, 3), strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), **SMALL)(
        torch.randn(1, 3, 64, 64)
    )
    assert [tuple(each.shape[1:]) for each in maps] == [(32, 4, 4), (64, 4, 4)]


@pytest.mark.parametrize(("style", "stride_of"), [("pytorch", "conv2"), ("caffe", "conv1")])
def test_style_says_which_convolution_strides(style, stride_of):
    block = ResNet(50, style=style, **SMALL).layer2[0]
    assert [name for name in ("conv1", "conv2", "conv3") if getattr(block, name).stride == (2, 2)] == [stride_of]


def test_variants_begin_with_three_convolutions_and_pool_in_shortcuts():
    plain, deep = ResNetV1c(depth=50, **SMALL), ResNetV1d(depth=50, **SMALL)
    assert [name for name in plain.state_dict() if "downsample" in name and name.endswith("0.weight")]
    assert isinstance(deep.layer2[0].downsample[0], nn.AvgPool2d)
    assert len(deep.layer1[0].downsample) == 2  # nothing to pool where nothing strides
    assert deep.eval()(torch.randn(1, 3, 64, 64))[0].shape == (1, 256, 2, 2)


def test_groups_widen_the_inside():
    block = ResNeXt(50).layer1[0]
    assert (block.conv2.groups, block.conv2.out_channels, block.out_channels) == (32, 128, 256)
    assert ResNeXt(50).layer4[0].conv2.out_channels == 1024


def test_frozen_stages_stay_frozen_in_training():
    model = ResNet(18, frozen_stages=1, **SMALL).train()
    frozen = [model.conv1, model.norm1, model.layer1]
    assert not any(part.training for part in frozen)
    assert not any(each.requires_grad for part in frozen for each in part.parameters())
    assert model.layer2.training
    assert all(each.requires_grad for each in model.layer2.parameters())
    stem = ResNetV1c(depth=50, frozen_stages=0, **SMALL).train()
    assert not stem.stem.training
    assert stem.layer1.training


def test_batch_statistics_can_be_kept_in_training():
    model = ResNet(18, norm_eval=True, **SMALL).train()
    assert not any(each.training for each in model.modules() if isinstance(each, nn.BatchNorm2d))


def test_blocks_begin_as_their_shortcuts_where_asked():
    model = ResNet(18, **SMALL)
    model.init_weights()
    block = model.layer1[1].eval()
    x = torch.rand(1, 8, 4, 4)
    assert torch.equal(block(x), x)
    other = ResNet(18, zero_init_residual=False, **SMALL)
    other.init_weights()
    assert torch.equal(other.layer1[0].last_norm.weight, torch.ones(8))


def test_pretrained_weights_are_not_set_to_zero(tmp_path):
    source = ResNet(18, zero_init_residual=False, **SMALL)
    source.init_weights()
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = ResNet(18, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "weights.pth")}, **SMALL)
    model.init_weights()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def test_recomputed_blocks_give_the_same_gradients():
    torch.manual_seed(0)
    kept = ResNet(18, **SMALL)
    again = ResNet(18, with_cp=True, **SMALL)
    again.load_state_dict(kept.state_dict())
    images = torch.randn(2, 3, 32, 32)
    for model in (kept, again):
        model(images)[0].square().sum().backward()
    for (name, one), other in zip(kept.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_branches_are_left_out_more_often_the_deeper():
    model = ResNet(18, drop_path_rate=0.7, **SMALL)
    rates = [
        getattr(block.drop_path, "drop_prob", 0.0) for layer in model.res_layers for block in getattr(model, layer)
    ]
    assert rates == pytest.approx([0.1 * number for number in range(8)])


def test_other_layers_can_be_chosen():
    model = ResNet(18, norm_cfg={"type": "GN", "num_groups": 2}, conv_cfg={"type": "ConvWS"}, **SMALL)
    assert isinstance(model.gn1, nn.GroupNorm)
    assert isinstance(model.layer1[0].gn2, nn.GroupNorm)
    assert type(model.layer1[0].conv1).__name__ == "ConvWS2d"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, "`depth` must be one of 18, 34, 50, 101, 152, not 20"),
        ({"depth": 18, "num_stages": 5}, "`num_stages` must lie in 1..4"),
        ({"depth": 18, "num_stages": 3}, "`strides` and `dilations` need 3 values"),
        ({"depth": 18, "out_indices": (4,)}, "`out_indices` must lie in 0..3"),
        ({"depth": 18, "frozen_stages": 5}, "`frozen_stages` must lie in -1..4"),
        ({"depth": 18, "style": "tensorflow"}, "`style` must be"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**arguments)


def test_a_block_needs_channels_that_its_inside_divides():
    with pytest.raises(ValueError, match="multiple of `expansion`"):
        BasicBlock(8, 9, expansion=2)
