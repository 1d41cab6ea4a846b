"""Layers are built from configs under the names that state dicts know."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mimctl.errors import ConfigError
from mimctl.vision.layers import (
    ChannelAttention,
    ConvModule,
    CSPLayer,
    DepthwiseSeparableConvModule,
    DropPath,
    LayerScale,
    Scale,
    SPPBottleneck,
    build_activation_layer,
    build_conv_layer,
    build_dropout,
    build_norm_layer,
    is_norm,
)

BN = {"type": "BN"}
SILU = {"type": "SiLU", "inplace": True}


def test_block_is_convolution_norm_and_activation():
    block = ConvModule(3, 4, 3, padding=1, norm_cfg=BN, act_cfg=SILU).eval()
    x = torch.randn(2, 3, 5, 5)
    assert list(block.state_dict())[:2] == ["conv.weight", "bn.weight"]
    assert torch.equal(block(x), F.silu(block.bn(block.conv(x))))
    assert torch.equal(block(x, activate=False, norm=False), block.conv(x))


def test_bias_is_there_only_without_a_norm():
    assert ConvModule(3, 4, 1).conv.bias is not None
    assert ConvModule(3, 4, 1, norm_cfg=BN).conv.bias is None
    assert ConvModule(3, 4, 1, bias=True, norm_cfg=BN).conv.bias is not None


def test_order_decides_what_the_norm_sees():
    block = ConvModule(3, 4, 1, norm_cfg=BN, order=("norm", "conv", "act"))
    assert block.norm.num_features == 3
    with pytest.raises(ValueError, match="once each"):
        ConvModule(3, 4, 1, order=("conv", "norm", "norm"))


def test_reflection_padding_is_explicit():
    block = ConvModule(1, 1, 3, padding=1, padding_mode="reflect", act_cfg=None)
    x = torch.randn(1, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert torch.allclose(block(x), F.conv2d(padded, block.conv.weight, block.conv.bias))
    circular = ConvModule(1, 1, 3, padding=1, padding_mode="circular")
    assert circular.conv.padding_mode == "circular"


def test_depthwise_block_has_own_settings_for_each_half():
    block = DepthwiseSeparableConvModule(4, 6, 3, padding=1, norm_cfg=BN, dw_act_cfg=None, pw_norm_cfg=None)
    assert block.depthwise_conv.conv.groups == 4
    assert not block.depthwise_conv.with_activation
    assert not block.pointwise_conv.with_norm
    assert block(torch.randn(1, 4, 5, 5)).shape == (1, 6, 5, 5)


@pytest.mark.parametrize(
    ("kind", "name", "layer"),
    [
        ("BN", "bn", nn.BatchNorm2d),
        ("SyncBN", "bn", nn.SyncBatchNorm),
        ("IN", "in", nn.InstanceNorm2d),
        ("LN", "ln", nn.LayerNorm),
        ("LN2d", "ln", nn.LayerNorm),
    ],
)
def test_norm_layers_have_their_short_names(kind, name, layer):
    found, made = build_norm_layer({"type": kind, "requires_grad": False}, 8, postfix=1)
    assert found == f"{name}1"
    assert isinstance(made, layer)
    assert made.eps == 1e-5
    assert is_norm(made)
    assert not any(each.requires_grad for each in made.parameters())


def test_group_norm_takes_its_channels_by_name():
    name, made = build_norm_layer({"type": "GN", "num_groups": 4}, 8)
    assert (name, made.num_channels, made.num_groups) == ("gn", 8, 4)


def test_what_is_no_norm_is_refused():
    with pytest.raises(ConfigError, match="no normalisation"):
        build_norm_layer({"type": "Scale"}, 8)
    with pytest.raises(ConfigError, match="unknown model"):
        build_norm_layer({"type": "NoSuchNorm"}, 8)


def test_synchronised_norm_is_plain_norm_on_the_cpu():
    torch.manual_seed(0)
    synced, plain = build_norm_layer({"type": "SyncBN"}, 4)[1], nn.BatchNorm2d(4)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(synced(x), plain(x))
    assert torch.equal(synced.running_var, plain.running_var)


def test_layer_norm_over_channels_of_maps():
    made = build_norm_layer({"type": "LN2d"}, 4)[1]
    x = torch.randn(2, 4, 3, 5)
    assert torch.allclose(made(x), F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize("kind", ["ReLU", "LeakyReLU", "SiLU", "Swish", "GELU", "HSigmoid", "HSwish", "Clamp", "Mish"])
def test_activations_are_known_by_name(kind):
    assert build_activation_layer({"type": kind})(torch.linspace(-4, 4, 9)).isfinite().all()


def test_convolutions_are_known_by_name():
    assert isinstance(build_conv_layer(None, 3, 4, 1), nn.Conv2d)
    assert isinstance(build_conv_layer({"type": "Conv1d"}, 3, 4, 1, bias=False), nn.Conv1d)
    assert isinstance(build_conv_layer({"type": "deconv"}, 3, 4, 2, stride=2), nn.ConvTranspose2d)


def test_dropped_paths_keep_the_expectation():
    torch.manual_seed(0)
    layer = build_dropout({"type": "DropPath", "drop_prob": 0.25})
    out = layer(torch.ones(4000, 3))
    assert set(out[:, 0].tolist()) <= {0.0, float(torch.tensor(1.0).div(0.75))}
    assert (out[:, :1] == out).all()
    assert float(out.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(DropPath(0.5).eval()(out), out)
    assert build_dropout({"type": "Dropout", "drop_prob": 0.3}).p == 0.3


def test_scales_multiply():
    assert torch.equal(Scale(2.0)(torch.ones(3)), torch.full((3,), 2.0))
    x = torch.ones(1, 3, 2, 2)
    assert torch.allclose(LayerScale(3, data_format="channels_first", scale=0.5)(x), x / 2)
    assert torch.allclose(LayerScale(2, scale=0.5)(x), x / 2)


def test_channel_attention_weighs_whole_channels():
    layer = ChannelAttention(4)
    x = torch.rand(2, 4, 3, 3)
    ratio = layer(x) / x
    expected = F.hardsigmoid(F.linear(x.mean((2, 3)), layer.fc.weight.flatten(1), layer.fc.bias))
    assert torch.allclose(ratio, expected[..., None, None].expand_as(x), atol=1e-5)


def test_pyramid_pooling_in_steps_equals_pooling_side_by_side():
    layer = SPPBottleneck(8, 6, kernel_sizes=(5, 9, 13)).eval()
    x = torch.randn(1, 8, 17, 11)
    half = layer.conv1(x)
    side_by_side = [F.max_pool2d(half, size, stride=1, padding=size // 2) for size in (5, 9, 13)]
    assert torch.equal(layer(x), layer.conv2(torch.cat([half, *side_by_side], dim=1)))


def test_blocks_add_their_input_only_where_channels_allow():
    kept, changed = CSPLayer(8, 8, num_blocks=2, use_cspnext_block=True), CSPLayer(8, 4, add_identity=False)
    assert [block.add_identity for block in kept.blocks] == [True, True]
    assert not changed.blocks[0].add_identity
    assert changed(torch.randn(1, 8, 4, 4)).shape == (1, 4, 4, 4)
    assert hasattr(CSPLayer(8, 8, channel_attention=True), "attention")
    assert not hasattr(kept, "attention")


def test_depthwise_csp_layer_has_no_full_convolution_but_one_by_one():
    layer = CSPLayer(8, 8, use_depthwise=True, use_cspnext_block=True)
    assert all(
        each.groups == each.in_channels or each.kernel_size == (1, 1)
        for each in layer.modules()
        if isinstance(each, nn.Conv2d)
    )
