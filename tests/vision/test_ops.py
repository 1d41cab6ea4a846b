"""Operators: suppression by class, the plain tier, and a broken library that does not stay silent."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mimctl.errors import ConfigError, MimctlError
from mimctl.vision import ops
from mimctl.vision.structures import bbox_overlaps

HAS_OPS = importlib.util.find_spec("mimctl_ops") is not None
NMS = {"type": "nms", "iou_threshold": 0.5}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, params=["with mimctl-ops", "without"])
def tier(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(ops, "_operators", lambda: None)
    elif not HAS_OPS:
        pytest.skip("mimctl-ops is not installed")


needs_operators = pytest.mark.parametrize("tier", ["with mimctl-ops"], indirect=True)


def _scene(number, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(number, 2, generator=generator) * 50
    boxes = torch.cat((low, low + 5 + torch.rand(number, 2, generator=generator) * 30), dim=1)
    scores = torch.rand(number, generator=generator).mul(100).round() / 100  # with ties
    return boxes, scores, torch.randint(0, classes, (number,), generator=generator)


def _greedy(boxes, scores, threshold):
    kept = []
    for row in sorted(range(len(boxes)), key=lambda each: (-float(scores[each]), each)):
        if all(float(bbox_overlaps(boxes[[row]], boxes[[held]])) <= threshold for held in kept):
            kept.append(row)
    return kept


def test_boxes_are_suppressed_within_their_class():
    boxes, scores, labels = _scene(60)
    detections, keep = ops.batched_nms(boxes, scores, labels, NMS)
    expected = []
    for label in range(3):
        rows = (labels == label).nonzero().squeeze(1)
        expected += [int(rows[each]) for each in _greedy(boxes[rows], scores[rows], 0.5)]
    expected.sort(key=lambda each: (-float(scores[each]), each))
    assert keep.tolist() == expected
    assert torch.equal(detections, torch.cat((boxes[keep], scores[keep, None]), dim=1))


def test_classes_can_be_ignored():
    boxes, scores, labels = _scene(60)
    _, keep = ops.batched_nms(boxes, scores, labels, {**NMS, "class_agnostic": True})
    assert keep.tolist() == _greedy(boxes, scores, 0.5)
    assert torch.equal(keep, ops.batched_nms(boxes, scores, labels, NMS, class_agnostic=True)[1])


def test_score_threshold_and_number_limit_the_result():
    boxes, scores, labels = _scene(60)
    whole = ops.batched_nms(boxes, scores, labels, NMS)[1]
    assert torch.equal(ops.batched_nms(boxes, scores, labels, {**NMS, "max_num": 4})[1], whole[:4])
    above = ops.batched_nms(boxes, scores, labels, {**NMS, "score_threshold": 0.4})[1]
    assert torch.equal(above, whole[scores[whole] > 0.4])


def test_without_a_config_boxes_are_only_sorted():
    boxes, scores, labels = _scene(20)
    detections, keep = ops.batched_nms(boxes, scores, labels, None)
    assert torch.equal(keep, scores.sort(descending=True, stable=True).indices)
    assert len(detections) == 20


def test_nothing_in_gives_nothing_out():
    empty = torch.zeros(0, dtype=torch.long)
    for agnostic in (False, True):
        detections, keep = ops.batched_nms(torch.zeros(0, 4), torch.zeros(0), empty, NMS, class_agnostic=agnostic)
        assert (detections.shape, keep.shape) == ((0, 5), (0,))


@pytest.mark.parametrize(
    ("cfg", "code"),
    [
        ({"type": "hard_nms", "iou_threshold": 0.5}, "unknown-type"),
        ({"type": "nms", "iou_treshold": 0.5}, "bad-argument"),
        ({"type": "nms", "iou_threshold": 0.5, "sigma": 0.5}, "bad-argument"),
        ({"type": "nms"}, "missing-argument"),
        ({"type": "nms_rotated"}, "missing-argument"),
    ],
)
def test_wrong_suppression_config_is_refused(cfg, code):
    with pytest.raises(ConfigError) as caught:
        ops.batched_nms(*_scene(3), cfg)
    assert caught.value.code == code


@pytest.mark.skipif(not HAS_OPS, reason="compares with mimctl-ops")
@needs_operators
@pytest.mark.parametrize(
    "more",
    [{}, {"max_num": 9}, {"score_threshold": 0.3}, {"offset": 1}, {"class_agnostic": True}, {"split_thr": 2}],
)
def test_plain_loops_keep_what_the_operators_keep(tier, more):
    boxes, scores, labels = _scene(300, classes=7)
    cfg = {"iou_thr": 0.4, **more}
    plain = ops._plain_batched_nms(boxes, scores, labels, cfg, class_agnostic=False)
    assert torch.equal(ops.batched_nms(boxes, scores, labels, cfg)[1], plain)
    assert torch.equal(ops.nms(boxes, scores, 0.5)[1], ops._plain_nms(boxes, scores, 0.5))


def test_suppression_returns_boxes_with_scores_and_rows():
    boxes, scores, _ = _scene(60)
    detections, keep = ops.nms(boxes, scores, 0.5)
    assert keep.tolist() == _greedy(boxes, scores, 0.5)
    assert torch.equal(detections, torch.cat((boxes[keep], scores[keep, None]), dim=1))
    assert torch.equal(ops.nms(boxes, scores, 0.5, max_num=4)[1], keep[:4])
    assert torch.equal(ops.nms(boxes, scores, 0.5, score_threshold=0.4)[1], keep[scores[keep] > 0.4])
    touching = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]])
    assert [len(ops.nms(touching, torch.tensor([0.9, 0.8]), 0.2, offset)[1]) for offset in (0, 1)] == [2, 1]


@needs_operators
def test_operators_of_mimctl_ops_are_offered_under_their_names(tier):
    import mimctl_ops
    from mimctl.vision.ops import RoIAlign, roi_align

    assert (RoIAlign, roi_align) == (mimctl_ops.RoIAlign, mimctl_ops.roi_align)


@pytest.mark.parametrize("tier", ["without"], indirect=True)
def test_an_operator_that_is_not_installed_is_an_import_error(tier):
    with pytest.raises(ImportError) as caught:
        from mimctl.vision.ops import roi_align  # noqa: F401
    assert caught.value.code == "missing-extra"
    with pytest.raises(ImportError, match="no_such_operator"):
        from mimctl.vision.ops import no_such_operator  # noqa: F401


@needs_operators
def test_soft_and_rotated_suppression_are_those_of_mimctl_ops(tier):
    boxes, scores, labels = _scene(60)
    detections, keep = ops.batched_nms(boxes, scores, labels, {"type": "soft_nms", "min_score": 0.05})
    assert (detections[:, 4] <= scores[keep]).all()
    rotated = torch.cat((boxes, boxes[:, :1]), dim=1)
    detections, keep = ops.batched_nms(rotated, scores, labels, {"type": "nms_rotated", "iou_threshold": 0.1})
    assert torch.equal(detections, torch.cat((rotated[keep], scores[keep, None]), dim=1))


@pytest.mark.parametrize("tier", ["without"], indirect=True)
def test_rules_that_need_mimctl_ops_ask_for_it(tier):
    with pytest.raises(MimctlError, match="`soft_nms` needs mimctl-ops") as caught:
        ops.batched_nms(*_scene(3), {"type": "soft_nms"})
    assert caught.value.code == "missing-extra"


def _run(code, folder):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=240)


CALL = "import torch; from mimctl.vision.ops import nms; print(nms(torch.eye(4), torch.rand(4), 0.5)[1].shape)"


def test_missing_package_is_served_by_the_plain_tier(tmp_path):
    hide = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "mimctl_ops":
            raise ModuleNotFoundError("hidden", name=name)
sys.meta_path.insert(0, Hidden())
"""
    found = _run(hide + CALL, tmp_path)
    assert (found.returncode, found.stdout) == (0, "torch.Size([4])\n"), found.stderr


def test_package_that_cannot_be_imported_is_not_silent(tmp_path):
    package = tmp_path / "mimctl_ops"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_module_of_a_broken_install\n")
    found = _run(CALL, tmp_path)
    assert found.returncode == 1
    assert "no_such_module_of_a_broken_install" in found.stderr


@needs_operators
def test_operators_that_cannot_be_loaded_are_an_error_with_a_way_out(tier, tmp_path):
    failed = """
import mimctl_ops
from types import SimpleNamespace
mimctl_ops.status = lambda: SimpleNamespace(
    tier="failed", version="1.0", backend="cu13", error="a symbol is missing", torch="2.9", min_torch="2.10", hint=""
)
"""
    call = "import torch; from mimctl.errors import MimctlError; from mimctl.vision.ops import nms\n"
    call += "try:\n    nms(torch.eye(4), torch.rand(4), 0.5)\nexcept MimctlError as err:\n    print(err.to_dict())"
    found = _run(failed + call, tmp_path)
    assert "'code': 'ops-cannot-load'" in found.stdout, found.stderr
    assert "a symbol is missing" in found.stdout
