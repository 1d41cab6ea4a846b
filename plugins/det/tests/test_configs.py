"""The configs of this plugin: equal in value to OpenMMLab's of the same name, small where they are our own."""

from __future__ import annotations

import pytest
import torch

SIZES = {"tiny": 4_896_168, "s": 8_886_924, "m": 24_709_188, "l": 52_315_804, "x": 94_855_572}
NAMES_OF_VARIABLES = {"stage2_num_epochs", "num_stage2_epochs", "norm", "activation", "grey"}


@pytest.mark.parametrize("size", SIZES)
def test_config_has_the_values_of_its_twin(size, upstream, own_config):
    path = f"rtmdet/rtmdet_{size}_8xb32-300e_coco.py"
    theirs, ours = upstream(path).to_dict(), own_config(path).to_dict()
    for key in NAMES_OF_VARIABLES:
        theirs.pop(key, None)
        ours.pop(key, None)
    assert (theirs.pop("default_scope"), ours.pop("default_scope")) == ("mmdet", "det")
    assert ours == theirs


@pytest.mark.parametrize("size", SIZES)
def test_twin_config_builds_unmodified(size, upstream, build):
    with torch.device("meta"):
        model = build(upstream(f"rtmdet/rtmdet_{size}_8xb32-300e_coco.py"))
    assert sum(each.numel() for each in model.parameters()) == SIZES[size]


@pytest.mark.parametrize("num_classes", [10, 80])
def test_nano_fits_into_three_megabytes_of_float16(num_classes, own_config, build):
    with torch.device("meta"):
        model = build(own_config("rtmdet/rtmdet_nano_8xb32-300e_coco.py"), num_classes=num_classes)
    assert sum(each.numel() for each in model.parameters()) <= 1_400_000
    assert 2 * sum(each.numel() for each in model.state_dict().values()) <= 3_000_000
