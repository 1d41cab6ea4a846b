"""Overlap of rotated boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor
from mimctl_ops.ops._rotated_boxes import all_overlaps, overlaps
from mimctl_ops.registration import define

Mode = Literal["iou", "iof"]


def box_iou_rotated(
    bboxes1: Tensor, bboxes2: Tensor, mode: Mode = "iou", aligned: bool = False, clockwise: bool = True
) -> Tensor:
    """Return how much rotated boxes overlap, exact to the last digits of float32 for boxes of any shape and place.

    A box whose width or height is not above 0, or that has a NaN or infinite number, overlaps nothing: 0. Areas are
    computed in float64 whatever the type. There is no gradient.

    Args:
        bboxes1: (N, 5) floating point, `x, y` of the center, width, height, and an angle in radians.
        bboxes2: (M, 5) the same, on the same device.
        mode: "iou": common area / area of the union; "iof": common area / area of the box of `bboxes1`.
        aligned: compare box i of `bboxes1` with box i of `bboxes2` alone; M must be N.
        clockwise: whether a positive angle turns the x axis towards the y axis, which is clockwise where y points down.

    Returns:
        (N, M), aligned (N,), in the type of `bboxes1`, 0 … 1.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    return _overlap(OP, bboxes1, bboxes2, mode, aligned, clockwise)


def box_iou_rotated_reference(
    bboxes1: Tensor, bboxes2: Tensor, mode: Mode = "iou", aligned: bool = False, clockwise: bool = True
) -> Tensor:
    """Pure-PyTorch twin of `box_iou_rotated`."""
    return _overlap(_reference, bboxes1, bboxes2, mode, aligned, clockwise)


def _overlap(
    of_pairs: Callable[[Tensor, Tensor, bool, bool], Tensor],
    bboxes1: Tensor,
    bboxes2: Tensor,
    mode: str,
    aligned: bool,
    clockwise: bool,
) -> Tensor:
    if mode not in ("iou", "iof"):
        raise ValueError(f"box_iou_rotated: mode must be iou or iof, not {mode!r}")
    _check(bboxes1, bboxes2, aligned)
    first, second = bboxes1.detach(), bboxes2.detach()
    if not clockwise:
        first, second = mirrored(first), mirrored(second)
    return of_pairs(first, second, mode == "iof", aligned)


def mirrored(boxes: Tensor) -> Tensor:
    """Return (N, 5) boxes with the opposite angles."""
    return torch.cat((boxes[:, :4], -boxes[:, 4:]), dim=1)


def _check(bboxes1: Tensor, bboxes2: Tensor, aligned: bool) -> None:
    op = "box_iou_rotated"
    check_tensor(op, "bboxes1", bboxes1, "(N, 5)", dim=2)
    check_size(op, "bboxes1", bboxes1, "(N, 5)", dim=1, size=5)
    check_tensor(op, "bboxes2", bboxes2, "(M, 5)", dim=2)
    check_size(op, "bboxes2", bboxes2, "(M, 5)", dim=1, size=5)
    if aligned:
        check_size(op, "bboxes2", bboxes2, "(N, 5), as many as bboxes1", dim=0, size=bboxes1.shape[0])
    check_floating(op, bboxes1=bboxes1, bboxes2=bboxes2)
    check_same_device(op, bboxes1=bboxes1, bboxes2=bboxes2)


def _reference(bboxes1: Tensor, bboxes2: Tensor, of_first: bool, aligned: bool) -> Tensor:
    measure = overlaps if aligned else all_overlaps
    return measure(bboxes1, bboxes2, of_first=of_first).to(bboxes1.dtype)


def _fake(bboxes1: Tensor, bboxes2: Tensor, of_first: bool, aligned: bool) -> Tensor:
    _check(bboxes1, bboxes2, aligned)
    return bboxes1.new_empty(bboxes1.shape[:1] if aligned else (bboxes1.shape[0], bboxes2.shape[0]))


OP = define(
    "box_iou_rotated(Tensor bboxes1, Tensor bboxes2, bool of_first, bool aligned) -> Tensor",
    reference=_reference,
    fake=_fake,
)
