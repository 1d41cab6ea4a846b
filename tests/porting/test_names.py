"""The table of names is not stale: what it promises is there, and what it says is gone is not."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from mimctl.names import EXPORTS, RENAMED
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES
from mimctl.porting.counterparts import find_names
from mimctl.porting.names import GONE, HOMES, INSTEAD, MODULES, TOOLBOXES

DET = Path(__file__).parents[2] / "plugins" / "det" / "mimctl_det"
NAMES = find_names([("det", "mimctl_det", DET)])


def test_every_name_of_engine_and_vision_is_a_target():
    for package, names in EXPORTS.items():
        assert set(NAMES.modules[package]) == set(names)
    assert {place for places in HOMES.values() for place in places} == set(EXPORTS)


def test_every_new_name_of_one_that_was_renamed_is_there():
    pytest.importorskip("torch")
    for target in RENAMED.values():
        package, _, name = target.rpartition(".")
        assert package in EXPORTS or package.partition(".")[0] == "torch"
        assert hasattr(importlib.import_module(package), name), target


def test_what_is_said_to_be_gone_has_no_counterpart():
    for name in INSTEAD:
        assert NAMES.find(f"mmengine.{name}") is None, name
        assert NAMES.find(f"mmcv.{name}") is None, name
    assert [NAMES.missing(f"{module}.x", 1).reason for module in GONE] == list(GONE.values())


def test_toolboxes_are_called_as_elsewhere():
    packages = {name: ours for name, ours in OPENMMLAB_NAMES.items() if name in TOOLBOXES}
    assert packages.items() <= TOOLBOXES.items()
    assert {"mmdet", "mmpretrain"} <= set(packages)


@pytest.mark.parametrize(
    ("old", "ours"),
    [
        ("mmengine.model.BaseModel", "mimctl.engine.BaseModel"),
        ("mmengine.Config", "mimctl.engine.Config"),
        ("mmengine.fileio.HardDiskBackend", "mimctl.engine.LocalBackend"),
        ("mmcv.transforms.TRANSFORMS", "mimctl.vision.TRANSFORMS"),
        ("mmcv.ops.nms", "mimctl.vision.nms"),
        ("mmcv.ops.roi_align.RoIAlign", "mimctl.vision.RoIAlign"),
        ("mmengine.model.NoSuchThing", None),
        ("numpy.load", None),
    ],
)
def test_old_names_have_counterparts(old, ours):
    found = NAMES.find(old)
    assert (str(found) if found else None) == ours


def test_names_of_an_installed_toolbox_can_be_imported():
    pytest.importorskip("torch")
    for old, new in [
        ("mmdet.models.detectors.RTMDet", "mimctl_det.models.detectors.rtmdet.RTMDet"),
        ("mmdet.datasets.CocoDataset", "mimctl_det.datasets.CocoDataset"),
        ("mmdet.evaluation.CocoMetric", "mimctl_det.evaluation.CocoMetric"),
        ("mmdet.apis.init_detector", "mimctl_det.apis.init_detector"),
        ("mmdet.registry.MODELS", "mimctl.engine.MODELS"),
        ("mmdet.structures.DetDataSample", "mimctl.vision.DetDataSample"),
        ("mmdet.structures.OptSampleList", "mimctl.vision.OptSampleList"),
        ("mmdet.utils.InstanceList", "mimctl.vision.InstanceList"),
        ("mmseg.utils.OptConfigType", "mimctl.vision.OptConfigType"),
    ]:
        assert str(NAMES.find(old)) == new
        module, _, name = new.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_every_public_name_of_the_toolbox_is_where_the_table_says():
    pytest.importorskip("torch")
    for module in NAMES.toolboxes["mmdet"]:
        imported = importlib.import_module(module)
        assert [name for name in NAMES.modules[module] if not hasattr(imported, name)] == []


def test_no_name_is_taken_for_a_module():
    for old in MODULES:
        assert NAMES.find(old) is None
