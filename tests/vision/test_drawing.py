"""Drawing leaves its input alone, colours the box's edge, and keeps text inside the picture."""

from __future__ import annotations

import numpy as np

from mimctl.vision.drawing import draw_boxes, draw_masks, palette


def test_boxes_are_drawn_on_a_copy() -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    drawn = draw_boxes(picture, np.array([[30, 50, 90, 100]]), [0], scores=[0.5], classes=["cat"])
    assert not picture.any()
    assert tuple(drawn[100, 60]) == palette(1)[0]
    assert not drawn[75, 60].any()


def test_a_small_box_stays_visible_over_a_large_one() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    boxes = np.array([[40, 60, 60, 80], [10, 60, 90, 80]])
    drawn = draw_boxes(picture, boxes, [0, 1])
    assert tuple(drawn[80, 50]) == palette(2)[0]
    assert tuple(drawn[80, 80]) == palette(2)[1]


def test_text_of_a_box_at_the_edge_stays_inside() -> None:
    picture = np.zeros((60, 200, 3), np.uint8)
    drawn = draw_boxes(picture, np.array([[190, 0, 199, 20]]), [0], classes=["a long class name"])
    assert drawn[:, :190].any()


def test_no_box_is_legal() -> None:
    picture = np.full((20, 20, 3), 7, np.uint8)
    assert (draw_boxes(picture, np.zeros((0, 4)), []) == picture).all()


def test_masks_blend_with_the_class_colour() -> None:
    picture = np.full((4, 4, 3), 100, np.uint8)
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0] = True
    drawn = draw_masks(picture, mask, [0], opacity=1.0)
    assert tuple(drawn[0, 0]) == palette(1)[0]
    assert tuple(drawn[1, 0]) == (100, 100, 100)


def test_palette_colours_are_distinct() -> None:
    assert len(set(palette(80))) == 80


def test_the_better_of_two_guesses_at_one_place_is_the_one_that_can_be_read() -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    boxes = np.array([[30, 50, 90, 100], [30, 50, 90, 100]])
    best = draw_boxes(picture, boxes[:1], [0], scores=[0.9], classes=["three", "nine"])
    both = draw_boxes(picture, boxes, [0, 1], scores=[0.9, 0.3], classes=["three", "nine"])
    name = np.s_[36:48, 30:60]
    assert best[name].any()
    assert (both[name] == best[name]).all()
