"""Drawing on the visualizer's picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mimctl.engine import Visualizer

GREEN, RED, WHITE = [0, 128, 0], [255, 0, 0], [255, 255, 255]


@pytest.fixture
def canvas() -> Visualizer:
    return Visualizer(image=np.zeros((40, 60, 3), np.uint8))


def at(canvas: Visualizer, x: int, y: int) -> list[int]:
    return [int(each) for each in canvas.get_image()[y, x]]


def test_boxes_have_edges_and_faces(canvas: Visualizer) -> None:
    boxes = torch.tensor([[5.0, 5.0, 20.0, 20.0], [30.0, 5.0, 50.0, 30.0]])
    drawn = canvas.draw_bboxes(boxes, edge_colors=["g", (255, 0, 0)], line_widths=[1, 3], alpha=1.0)
    assert drawn is canvas
    assert at(canvas, 5, 10) == GREEN
    assert at(canvas, 6, 10) == [0, 0, 0]
    assert at(canvas, 32, 10) == RED
    canvas.draw_bboxes(np.array([5, 5, 20, 20]), face_colors="white", alpha=0.5)
    assert at(canvas, 10, 10) == [127, 127, 127]


def test_lines_circles_polygons_and_points(canvas: Visualizer) -> None:
    canvas.draw_lines(np.array([0, 59]), np.array([20, 20]), colors="r", line_widths=1)
    assert at(canvas, 30, 20) == RED
    canvas.draw_circles(np.array([10, 10]), np.array([5]), face_colors="w", alpha=1.0)
    assert at(canvas, 10, 10) == WHITE
    assert at(canvas, 15, 10) == GREEN
    canvas.draw_polygons([np.array([[30, 30], [50, 30], [50, 39]])], face_colors="r", line_widths=1, alpha=1.0)
    assert at(canvas, 47, 33) == RED
    canvas.draw_points(torch.tensor([[55.0, 5.0]]), colors="w", sizes=np.array([1]))
    assert at(canvas, 55, 5) == WHITE


def test_texts_are_where_they_are_aligned(canvas: Visualizer) -> None:
    canvas.draw_texts("M", np.array([30, 20]), font_sizes=12, colors="w", vertical_alignments="center")
    inked = canvas.get_image().any(axis=2)
    assert inked[:, 30:45].any()
    assert not inked[:, :30].any()
    canvas.draw_texts(["a"], np.array([[20, 10]]), colors="w", horizontal_alignments="right", bboxes={"facecolor": "r"})
    assert canvas.get_image()[10:20, 10:20, 0].max() > 100


def test_masks_are_laid_over_the_picture(canvas: Visualizer) -> None:
    masks = np.zeros((2, 40, 60), bool)
    masks[0, :10], masks[1, 30:] = True, True
    canvas.draw_binary_masks(masks, colors=["w", (255, 0, 0)], alphas=[1.0, 0.5])
    assert (at(canvas, 3, 3), at(canvas, 3, 20), at(canvas, 3, 35)) == (WHITE, [0, 0, 0], [128, 0, 0])
    with pytest.raises(ValueError, match="do not fit"):
        canvas.draw_binary_masks(np.zeros((3, 3), bool))


def test_pictures_are_checked_and_copied() -> None:
    canvas, picture = Visualizer(), np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="set_image"):
        canvas.get_image()
    with pytest.raises(ValueError, match="not \\(4, 4\\)"):
        canvas.set_image(picture[..., 0])
    canvas.set_image(picture)
    canvas.draw_points(np.array([1, 1]), colors="w")
    assert not picture.any()
    with pytest.raises(ValueError, match="argument"):
        canvas.draw_bboxes(np.array([0, 0, 2, 2]), edge_colors=["g", "r"])
