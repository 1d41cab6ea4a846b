"""Layers that toolboxes build by name: each against the formula it stands for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from mimctl import vision
from mimctl.errors import ConfigError

INPUT = torch.randn(2, 8, 9, 11, generator=torch.Generator().manual_seed(0))


def shaken(layer: nn.Module) -> nn.Module:
    """Return the layer in evaluation mode with random weights (several start at zero)."""
    generator = torch.Generator().manual_seed(1)
    for each in layer.parameters():
        each.data.copy_(torch.randn(each.shape, generator=generator) * 0.3)
    return layer.eval()


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "dot_product", "concatenation"])
@pytest.mark.parametrize("sub_sample", [False, True])
def test_non_local_block_mixes_all_pixels(mode: str, sub_sample: bool) -> None:
    fresh = vision.NonLocal2d(8, sub_sample=sub_sample, mode=mode)
    assert torch.equal(fresh(INPUT), INPUT), "it begins as the identity"
    layer: Any = shaken(fresh)
    others = functional.max_pool2d(INPUT, 2) if sub_sample else INPUT
    values = layer.g(INPUT).flatten(2)[0]
    count = others.shape[2] * others.shape[3]
    if mode == "gaussian":
        likeness = INPUT.flatten(2)[0].T @ others.flatten(2)[0]
    else:
        own, keys = layer.theta(INPUT).flatten(2)[0], layer.phi(INPUT).flatten(2)[0]
        likeness = own.T @ keys
        if mode == "concatenation":
            weight = layer.concat_project.conv.weight.flatten()
            likeness = ((weight[:4] @ own)[:, None] + (weight[4:] @ keys)[None]).relu()
    if mode == "embedded_gaussian":
        likeness = likeness / 4**0.5
    weights = likeness.softmax(1) if mode.endswith("gaussian") else likeness / count
    mixed = (weights @ values.T).T.reshape(1, 4, 9, 11)
    torch.testing.assert_close(layer(INPUT)[:1], INPUT[:1] + layer.conv_out(mixed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["att", "avg"])
def test_context_block_adds_a_function_of_the_mean(pooling: str) -> None:
    fresh = vision.ContextBlock(8, 0.5, pooling, ("channel_add", "channel_mul"))
    torch.testing.assert_close(fresh(INPUT), INPUT * 0.5, msg="the gate begins at sigmoid(0), the sum at 0")
    layer: Any = shaken(fresh)
    weights = torch.full((2, 1, 9, 11), 1 / 99) if pooling == "avg" else layer.conv_mask(INPUT).flatten(1).softmax(1)
    mean = (INPUT * weights.reshape(2, 1, 9, 11)).sum((2, 3), keepdim=True)
    expected = INPUT * layer.channel_mul_conv(mean).sigmoid() + layer.channel_add_conv(mean)
    torch.testing.assert_close(layer(INPUT), expected, rtol=1e-4, atol=1e-5)


def test_standardized_kernels() -> None:
    layer: Any = shaken(vision.ConvWS2d(8, 4, 3, padding=1))
    kernel = (layer.weight - layer.weight.mean((1, 2, 3), keepdim=True)) / layer.weight.std((1, 2, 3), keepdim=True)
    torch.testing.assert_close(
        layer(INPUT), functional.conv2d(INPUT, kernel, layer.bias, padding=1), rtol=1e-3, atol=1e-4
    )
    plain = nn.Conv2d(8, 4, 3)
    same: Any = vision.ConvAWS2d(8, 4, 3)
    same.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(same(INPUT), plain(INPUT), rtol=1e-4, atol=1e-5)
    own = {**plain.state_dict(), "weight_gamma": torch.full((4, 1, 1, 1), 2.0), "weight_beta": torch.zeros(4, 1, 1, 1)}
    same.load_state_dict(own)
    assert same.weight_gamma.unique().tolist() == [2.0]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (4, 4, 1), (3, 3, 2), (1, 1, 1)])
def test_padding_lets_the_kernel_cover_the_input(kernel: int, stride: int, dilation: int) -> None:
    for padding in ("same", "corner"):
        pad = vision.AdaptivePadding(kernel, stride, dilation, padding)
        conv = nn.Conv2d(8, 1, kernel, stride, dilation=dilation)
        assert conv(pad(INPUT)).shape[2:] == (-(-9 // stride), -(-11 // stride))
        rows, columns = pad.get_pad_shape((9, 11))
        top, left = (rows // 2, columns // 2) if padding == "same" else (0, 0)
        assert torch.equal(pad(INPUT)[:, :, top : top + 9, left : left + 11], INPUT)
    assert vision.Conv2dAdaptivePadding(8, 1, kernel, stride, dilation=dilation)(INPUT).shape[3] == -(-11 // stride)
    with pytest.raises(ConfigError):
        vision.AdaptivePadding(padding="around")


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "stride": 4},
        {"kernel_size": 3, "stride": 2, "padding": 1, "norm_cfg": {"type": "LN"}},
        {"kernel_size": 4, "stride": 3, "padding": "same"},
    ],
)
def test_patches_become_tokens(options: Mapping[str, Any]) -> None:
    layer = vision.PatchEmbed(8, 16, input_size=(9, 11), **options).eval()
    tokens, size = layer(INPUT)
    assert tokens.shape == (2, size[0] * size[1], 16)
    assert layer.init_out_size == size
    if layer.norm is not None:
        torch.testing.assert_close(tokens.mean(-1), torch.zeros(tokens.shape[:2]), rtol=0, atol=1e-5)


def test_neighbours_are_merged() -> None:
    layer = vision.PatchMerging(8, 3, norm_cfg=None).eval()
    tokens = INPUT.flatten(2).transpose(1, 2)
    merged, size = layer(tokens, (9, 11))
    assert (merged.shape, size) == ((2, 30, 3), (5, 6))
    corner = INPUT[0, :, :2, :2].reshape(32)
    torch.testing.assert_close(merged[0, 0], layer.reduction(corner))
    with pytest.raises(ValueError, match="no 8 x 11 image"):
        layer(tokens, (8, 11))


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_has_positions_and_a_residual(batch_first: bool) -> None:
    layer: Any = shaken(vision.MultiheadAttention(8, 2, batch_first=batch_first))
    query, key = torch.randn(5, 2, 8), torch.randn(7, 2, 8)
    expected = query + layer.attn(query + 1, key + 2, key)[0]
    given = [each.transpose(0, 1) if batch_first else each for each in (query, key)]
    found = layer(*given, query_pos=torch.ones_like(given[0]), key_pos=torch.full_like(given[1], 2.0))
    torch.testing.assert_close(found.transpose(0, 1) if batch_first else found, expected)
    own = layer(given[0], query_pos=torch.ones_like(given[0]))
    expected = query + layer.attn(query + 1, query + 1, query)[0]
    torch.testing.assert_close(own.transpose(0, 1) if batch_first else own, expected)
    with pytest.warns(DeprecationWarning, match="`residual`"):
        layer(given[0], residual=given[0])


def test_feed_forward_network() -> None:
    layer: Any = shaken(vision.FFN(8, 16, num_fcs=3, layer_scale_init_value=0.5))
    x = torch.randn(3, 8)
    inner = functional.relu(layer.layers[1][0](functional.relu(layer.layers[0][0](x))))
    expected = x + layer.layers[2](inner) * layer.gamma2.weight
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x, identity=torch.zeros_like(x)), expected - x, rtol=1e-4, atol=1e-6)
    layer.add_identity = False
    torch.testing.assert_close(layer(x), expected - x, rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match="two linear layers"):
        vision.FFN(num_fcs=1)


def test_upsampling_by_name() -> None:
    torch.testing.assert_close(
        vision.build_upsample_layer({"type": "nearest", "scale_factor": 2})(INPUT),
        INPUT.repeat_interleave(2, 2).repeat_interleave(2, 3),
    )
    bilinear = vision.build_upsample_layer({"type": "bilinear", "scale_factor": 2, "align_corners": True})
    assert torch.equal(bilinear(INPUT)[..., 0, 0], INPUT[..., 0, 0])
    shuffle: Any = vision.build_upsample_layer({"type": "pixel_shuffle", "scale_factor": 2, "upsample_kernel": 3}, 8, 3)
    wide = shuffle.upsample_conv(INPUT)
    assert torch.equal(shuffle(INPUT)[:, 1, 1::2, 0::2], wide[:, 6])
    deconv = vision.build_upsample_layer(
        {"type": "deconv", "kernel_size": 2, "stride": 2}, in_channels=8, out_channels=4
    )
    assert deconv(INPUT).shape == (2, 4, 18, 22)


def test_plugged_layers_have_names() -> None:
    name, layer = vision.build_plugin_layer({"type": "ContextBlock", "ratio": 0.5}, "_1", in_channels=8)
    assert (name, type(layer)) == ("context_block_1", vision.ContextBlock)
    assert vision.build_plugin_layer({"type": "NonLocal2d"}, in_channels=8)[0] == "nonlocal_block"
    assert vision.build_plugin_layer({"type": "HSwish"}, 2)[0] == "h_swish2"


def test_norms_are_folded_into_convolutions() -> None:
    block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.SyncBatchNorm(4))
    model = nn.Sequential(
        nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 4, 1))
    )
    model.append(nn.BatchNorm2d(4, affine=False))
    for each in (*model.modules(), *block.modules()):
        if isinstance(each, nn.modules.batchnorm._BatchNorm):
            each.running_mean = torch.randn(4)
            each.running_var = torch.rand(4) + 0.5
    model.eval()
    fused = vision.fuse_conv_bn(copy.deepcopy(model))
    torch.testing.assert_close(fused(INPUT), model(INPUT), rtol=1e-4, atol=1e-5)
    assert isinstance(fused[1], nn.Identity)
    assert isinstance(fused[4], nn.BatchNorm2d), "there is no convolution right before it"
    assert isinstance(vision.fuse_conv_bn(block)[1], nn.Identity)


def test_plain_layers_are_torchs() -> None:
    assert vision.Conv2d is nn.Conv2d
    assert vision.Linear is nn.Linear
