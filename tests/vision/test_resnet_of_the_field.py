"""The one ResNet serves every toolbox: published backbones have its keys and shapes, and compute the same maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from model_parity import assert_close, fill_by_rule, load_reference
from torch import nn

from mimctl.vision.backbones.resnet import ResNet
from mimctl.vision.layers import build_conv_layer, build_norm_layer

DETECTION: dict[str, Any] = {"out_indices": (0, 1, 2, 3), "frozen_stages": 1, "norm_eval": True}
BACKBONES = {
    "mmdet/retinanet_r50_fpn": {"depth": 50, **DETECTION},
    "mmdet/faster-rcnn_r50_fpn": {"depth": 50, **DETECTION},
    "mmdet/mask-rcnn_r50_fpn": {"depth": 50, **DETECTION},
    "mmdet/fcos_r50_fpn": {"depth": 50, "style": "caffe", **DETECTION},
    "mmdet/atss_r50_fpn": {"depth": 50, **DETECTION},
    "mmdet/detr_r50": {"depth": 50, "out_indices": (3,), "norm_eval": True},
    "mmocr/dbnet_resnet18": {"depth": 18, **DETECTION},
    "mmpose/td-hm_res50": {"depth": 50},
}


class PlainStem(ResNet):
    """The stem as segmentation's state dicts have it: convolutions, norms and activations in one row."""

    def _deep_stem(self, in_channels: int, channels: int) -> nn.Sequential:
        row: list[nn.Module] = []
        for given, made, stride in (
            (in_channels, channels // 2, 2),
            (channels // 2,) * 2 + (1,),
            (channels // 2, channels, 1),
        ):
            conv = build_conv_layer(self.conv_cfg, given, made, 3, stride=stride, padding=1, bias=False)
            row += [conv, build_norm_layer(self.norm_cfg, made)[1], nn.ReLU(inplace=True)]
        return nn.Sequential(*row)


class Whole(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone


def state_of(model: nn.Module) -> dict[str, Any]:
    return {key: [list(each.shape), str(each.dtype)[6:]] for key, each in model.state_dict().items()}


@pytest.mark.parametrize("name", BACKBONES)
def test_published_backbones_have_its_keys_and_shapes(name: str, test_reference: Path) -> None:
    stored = load_reference(test_reference, name).facts["state_dict"]
    with torch.device("meta"):
        made = state_of(Whole(ResNet(**BACKBONES[name])))
    assert made == {key: each for key, each in stored.items() if key.startswith("backbone.")}


def test_another_stem_is_a_method_away(test_reference: Path) -> None:
    stored = load_reference(test_reference, "mmseg/fcn_r50").facts["state_dict"]
    with torch.device("meta"):
        model = PlainStem(50, deep_stem=True, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(0, 1, 2, 3))
    assert state_of(Whole(model)) == {key: each for key, each in stored.items() if key.startswith("backbone.")}


def test_maps_are_those_of_the_published_pose_backbone(test_reference: Path) -> None:
    twin = load_reference(test_reference, "mmpose/td-hm_res50")
    whole = Whole(ResNet(50)).eval()
    fill_by_rule(whole)
    with torch.no_grad():
        assert_close(twin, "extract_feat", whole.backbone(twin.input), relative={"": 1e-6})
