"""Pure-PyTorch twins of the compiled operators: the same signatures and results, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 128
"""Boxes decided at once: many, to need few tensor operations, but so few that their masks stay in the cache."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep the boxes that no better box overlaps; see `mimctl_ops.nms` for the contract."""
    check_nms_inputs(boxes, scores)
    order = _as_float(scores).sort(descending=True, stable=True).indices
    rest = _as_float(boxes)[order]
    kept = []
    while order.numel():
        block, rest = rest[:_BLOCK], rest[_BLOCK:]
        alive = _greedy(_iou_exceeds(block, block, iou_threshold).triu(diagonal=1))
        kept.append(order[:_BLOCK][alive])
        survives = ~_iou_exceeds(block[alive], rest, iou_threshold).any(dim=0)
        order, rest = order[_BLOCK:][survives], rest[survives]
    return torch.cat(kept) if kept else order


def check_nms_inputs(boxes: Tensor, scores: Tensor) -> None:
    """Raise ValueError unless `boxes` is (N, 4), `scores` (N,), and both are floating point."""
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"nms: boxes must have the shape (N, 4), not {tuple(boxes.shape)}")
    if scores.dim() != 1:
        raise ValueError(f"nms: scores must have the shape (N,), not {tuple(scores.shape)}")
    torch._check(scores.shape[0] == boxes.shape[0], lambda: "nms: as many scores as boxes are needed")
    if not (boxes.is_floating_point() and scores.is_floating_point()):
        raise ValueError(f"nms: boxes and scores must be floating point, not {boxes.dtype} and {scores.dtype}")


def _as_float(tensor: Tensor) -> Tensor:
    return tensor.detach() if tensor.dtype in (torch.float32, torch.float64) else tensor.detach().float()


def _iou_exceeds(first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """Return a (N, M) mask of the pairs whose IoU is greater than `threshold`; NaN (two empty boxes) is not."""
    left, top, right, bottom = first[:, :, None].unbind(dim=1)
    width = torch.minimum(right, second[:, 2]).sub_(torch.maximum(left, second[:, 0])).clamp_(min=0)
    height = torch.minimum(bottom, second[:, 3]).sub_(torch.maximum(top, second[:, 1])).clamp_(min=0)
    common = width.mul_(height)
    union = (_area(first)[:, None] + _area(second)).sub_(common)
    return common.div_(union) > threshold


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _greedy(suppresses: Tensor) -> Tensor:
    """Return who survives when row i, if it survives, suppresses the columns marked in it (all right of i).

    A box depends on earlier boxes only, so repeating the rule settles the first k boxes after k rounds at the latest;
    in practice a handful of rounds is enough.
    """
    alive = torch.ones(len(suppresses), dtype=torch.bool, device=suppresses.device)
    while True:
        update = ~(suppresses & alive[:, None]).any(dim=0)
        if torch.equal(update, alive):
            return alive
        alive = update
