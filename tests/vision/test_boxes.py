"""Geometry of boxes against plain Python."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.vision.structures import (
    bbox2distance,
    bbox_cxcywh_to_xyxy,
    bbox_overlaps,
    bbox_xyxy_to_cxcywh,
    distance2bbox,
    scale_boxes,
)

coordinate = st.integers(0, 60)
box = st.tuples(coordinate, coordinate, coordinate, coordinate).map(
    lambda each: (min(each[0], each[2]), min(each[1], each[3]), max(each[0], each[2]) + 1, max(each[1], each[3]) + 1)
)


def _area(left, top, right, bottom):
    return max(right - left, 0) * max(bottom - top, 0)


def _expected(first, second, mode):
    lows = list(zip(first[:2], second[:2], strict=True))
    highs = list(zip(first[2:], second[2:], strict=True))
    inner = _area(*(max(each) for each in lows), *(min(each) for each in highs))
    outer = _area(*(min(each) for each in lows), *(max(each) for each in highs))
    union = _area(*first) + _area(*second) - inner
    if mode == "iof":
        return inner / _area(*first)
    return inner / union - (0 if mode == "iou" else (outer - union) / outer)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(box, min_size=1, max_size=4),
    st.lists(box, min_size=1, max_size=4),
    st.sampled_from(["iou", "iof", "giou"]),
)
def test_overlaps_equal_plain_python(first, second, mode):
    found = bbox_overlaps(torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64), mode)
    expected = [[_expected(a, b, mode) for b in second] for a in first]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6)


def test_aligned_overlaps_are_the_diagonal():
    boxes = torch.rand(5, 2, 2).cumsum(1).flatten(1)
    other = torch.rand(5, 2, 2).cumsum(1).flatten(1)
    for mode in ("iou", "iof", "giou"):
        assert torch.equal(
            bbox_overlaps(boxes, other, mode, is_aligned=True), bbox_overlaps(boxes, other, mode).diagonal()
        )


def test_overlaps_of_nothing_and_of_empty_boxes():
    assert bbox_overlaps(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
    assert bbox_overlaps(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="mode"):
        bbox_overlaps(torch.zeros(1, 4), torch.zeros(1, 4), mode="area")
    with pytest.raises(ValueError, match="as many"):
        bbox_overlaps(torch.zeros(1, 4), torch.zeros(2, 4), is_aligned=True)


def test_distances_lead_to_boxes_and_back():
    points = torch.tensor([[10.0, 20.0], [5.0, 6.0]])
    distances = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    boxes = distance2bbox(points, distances)
    assert boxes.tolist() == [[9, 18, 13, 24], [0, 0, 12, 14]]
    assert torch.equal(bbox2distance(points, boxes), distances)
    assert bbox2distance(points, boxes, max_dis=6, eps=0.5).max() == 5.5
    batched = distance2bbox(torch.cat((points, points), dim=1), distances.expand(3, 2, 4))
    assert torch.equal(batched, boxes.expand(3, 2, 4))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((15, 12), [[[9, 15, 12, 15]], [[9, 15, 12, 15]]]),
        ([(15, 12), (30, 11)], [[[9, 15, 12, 15]], [[9, 18, 11, 24]]]),
        (torch.tensor([[15, 12, 3], [30, 11, 3]]), [[[9, 15, 12, 15]], [[9, 18, 11, 24]]]),
    ],
)
def test_decoded_boxes_can_be_clipped_to_the_image(shape, expected):
    points, distances = torch.tensor([[10.0, 20.0]]), torch.tensor([[[1.0, 2, 3, 4]], [[1, 2, 3, 4]]])
    assert distance2bbox(points, distances, max_shape=shape).tolist() == expected


def test_centre_form_and_back():
    boxes = torch.tensor([[1.0, 2, 5, 10]])
    assert bbox_xyxy_to_cxcywh(boxes).tolist() == [[3, 6, 4, 8]]
    assert torch.equal(bbox_cxcywh_to_xyxy(bbox_xyxy_to_cxcywh(boxes)), boxes)


def test_boxes_scale_by_width_and_height():
    assert scale_boxes(torch.tensor([[1.0, 2, 3, 4]]), (2, 10)).tolist() == [[2, 20, 6, 40]]
