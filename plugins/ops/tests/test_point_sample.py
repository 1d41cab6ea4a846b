"""What `mimctl_ops.point_sample` and the functions beside it promise."""

from __future__ import annotations

import pytest
import torch
from op_checks import check_compiles, check_gradients
from roi_checks import features, sample

from mimctl_ops import SimpleRoIAlign, point_sample, rel_roi_point_to_rel_img_point
from mimctl_ops.ops.point_sample import (
    abs_img_point_to_rel_img_point,
    denormalize,
    generate_grid,
    get_shape_from_feature_map,
    normalize,
    rel_roi_point_to_abs_img_point,
)


@pytest.mark.parametrize("align_corners", [False, True])
def test_values_are_those_of_the_textbook(align_corners: bool) -> None:
    input = features(2, 3, 5, 7, dtype=torch.float64)
    points = torch.rand(2, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = 0.1 + 0.8 * points  # inside: at the border, padding counts
    found = point_sample(input, points, align_corners)
    assert found.shape == (2, 3, 4)
    for n in range(2):
        for c in range(3):
            for p, (x, y) in enumerate(points[n].tolist()):
                place = (y * 4, x * 6) if align_corners else (y * 5 - 0.5, x * 7 - 0.5)
                assert found[n, c, p].item() == pytest.approx(sample(input[n, c].tolist(), *place), abs=1e-12)


def test_points_in_a_grid_and_outside() -> None:
    input = features(2, 3, 5, 7)
    points = torch.rand(2, 4, 6, 2, generator=torch.Generator().manual_seed(0))
    found = point_sample(input, points)
    assert found.shape == (2, 3, 4, 6)
    assert torch.equal(found.flatten(2), point_sample(input, points.flatten(1, 2)))
    far = torch.full((2, 1, 2), 5.0)
    assert not point_sample(input, far).any()
    nearest = point_sample(input, far, mode="nearest", padding_mode="border")
    assert torch.equal(nearest[..., 0], input[:, :, -1, -1])
    assert point_sample(input, torch.zeros(2, 0, 2)).shape == (2, 3, 0)


def test_gradients_pass_finite_differences() -> None:
    input = features(2, 2, 4, 5, dtype=torch.float64).requires_grad_()
    points = torch.rand(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    check_gradients(point_sample, input, points)


def test_whole_graphs_compile() -> None:
    generator = torch.Generator().manual_seed(0)
    check_compiles(
        point_sample,
        (features(2, 3, 5, 7), torch.rand(2, 4, 2, generator=generator)),
        (features(1, 3, 6, 7), torch.rand(1, 5, 2, generator=generator)),
    )
    check_compiles(
        lambda rois, x: rel_roi_point_to_rel_img_point(rois, generate_grid(len(rois), (2, 3), rois.device), x, 0.5),
        (torch.rand(3, 5, generator=generator), features(1, 3, 5, 7)),
        (torch.rand(4, 5, generator=generator), features(1, 3, 6, 7)),
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3, 5, 7), torch.zeros(1, 4, 2)), "input"),
        ((torch.zeros(1, 3, 5, 7), torch.zeros(4, 2)), "points"),
        ((torch.zeros(1, 3, 5, 7), torch.zeros(1, 4, 3)), "points"),
        ((torch.zeros(1, 3, 5, 7), torch.zeros(2, 4, 2)), "points"),
        ((torch.zeros(1, 3, 5, 7), torch.zeros(1, 4, 2, dtype=torch.int64)), "points"),
        ((torch.zeros(1, 3, 5, 7), None), "points"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"point_sample: {name}"):
        point_sample(*arguments)  # type: ignore[arg-type]


def test_a_grid_has_the_centers_of_its_cells() -> None:
    grid = generate_grid(2, (2, 4), "cpu")
    assert grid.shape == (2, 8, 2)
    row = [0.125, 0.375, 0.625, 0.875]
    assert grid[1].tolist() == [[x, y] for y in (0.25, 0.75) for x in row]
    assert torch.equal(normalize(denormalize(grid)), grid)


def test_points_of_boxes_become_points_of_the_image() -> None:
    rois = torch.tensor([[0, 10.0, 20.0, 30.0, 60.0]], requires_grad=True)
    points = torch.tensor([[[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]]])
    absolute = rel_roi_point_to_abs_img_point(rois, points)
    assert absolute.tolist() == [[[10, 20], [20, 30], [30, 60]]]
    assert not absolute.requires_grad
    assert torch.equal(rel_roi_point_to_abs_img_point(rois[:, 1:], points), absolute)
    relative = abs_img_point_to_rel_img_point(absolute, (80, 40))
    assert relative.tolist() == [[[0.25, 0.25], [0.5, 0.375], [0.75, 0.75]]]
    maps = torch.zeros(1, 3, 60, 20)
    assert get_shape_from_feature_map(maps).tolist() == [[[20, 60]]]
    torch.testing.assert_close(
        rel_roi_point_to_rel_img_point(rois, points, maps, 0.5), absolute / torch.tensor([40.0, 120.0])
    )
    with pytest.raises(ValueError, match="rois"):
        rel_roi_point_to_abs_img_point(torch.zeros(1, 3), points)
    with pytest.raises(ValueError, match="img"):
        abs_img_point_to_rel_img_point(points, (1, 2, 3))


@pytest.mark.parametrize("aligned", [True, False])
def test_simple_roi_align_samples_centers_of_bins_in_the_order_of_the_rois(aligned: bool) -> None:
    input = features(2, 3, 8, 10, dtype=torch.float64).requires_grad_()
    rois = torch.tensor([[1, 4, 4, 12, 10], [0, 2, 2, 6, 14], [1, 6, 2, 16, 8], [7, 0, 0, 4, 4.0]]).double()
    found = SimpleRoIAlign((2, 3), 0.5, aligned)(input, rois)
    assert found.shape == (4, 3, 2, 3)
    assert not found[3].any()
    for k, (image, x1, y1, x2, y2) in enumerate(rois[:3].tolist()):
        for i in range(2):
            for j in range(3):
                x, y = (x1 + (x2 - x1) * (j + 0.5) / 3) / 2, (y1 + (y2 - y1) * (i + 0.5) / 2) / 2
                place = (y - 0.5, x - 0.5) if aligned else (y / 8 * 7, x / 10 * 9)
                expected = sample(input[int(image), 0].tolist(), *place)
                assert found[k, 0, i, j].item() == pytest.approx(expected, abs=1e-6)
    found.sum().backward()
    assert input.grad is not None
    assert input.grad.abs().sum() > 0


def test_simple_roi_align_of_nothing() -> None:
    module = SimpleRoIAlign(2, 0.5)
    input = torch.ones(1, 3, 4, 4, requires_grad=True)
    out = module(input, torch.zeros(0, 5))
    assert out.shape == (0, 3, 2, 2)
    out.sum().backward()
    assert module.use_torchvision is False
    assert "output_size=(2, 2)" in repr(module)
