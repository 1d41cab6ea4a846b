"""What the suppressions share: numpy arrays in place of tensors, checks, and twins that go class by class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = TypeVar("Numbers", Tensor, NDArray[Any])
    """Tensors, or numpy arrays; numpy itself is imported by nobody but the caller."""


def with_tensors(
    call: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], boxes: Numbers, scores: Numbers
) -> tuple[Numbers, Numbers]:
    """Call with tensors of the numbers given, and return what was given: tensors, or numpy arrays."""
    given: tuple[Any, Any] = boxes, scores
    is_array = all(type(each).__module__ == "numpy" for each in given)
    # Copies: arrays may be read-only, or run backwards.
    result: tuple[Any, Any] = call(*(torch.as_tensor(each.copy()) for each in given)) if is_array else call(*given)
    return (result[0].numpy(), result[1].numpy()) if is_array else result


def check_scored_boxes(op: str, name: str, boxes: Tensor, sides: int, scores: Tensor) -> None:
    """Raise unless boxes are (N, sides) and scores (N,), floating point on one device."""
    check_tensor(op, name, boxes, f"(N, {sides})", dim=2)
    check_size(op, name, boxes, f"(N, {sides})", dim=1, size=sides)
    check_tensor(op, "scores", scores, "(N,)", dim=1)
    check_size(op, "scores", scores, f"(N,), as many as {name}", dim=0, size=boxes.shape[0])
    check_floating(op, **{name: boxes, "scores": scores})
    check_same_device(op, **{name: boxes, "scores": scores})


def check_labels(op: str, name: str, labels: Tensor, boxes: Tensor) -> Tensor:
    """Return labels (N,) as int64; raise unless they are whole numbers, one a box, on the device of the boxes."""
    check_tensor(op, name, labels, "(N,)", dim=1)
    check_size(op, name, labels, "(N,), as many as boxes", dim=0, size=boxes.shape[0])
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"{op}: {name} must be whole numbers, not {str(labels.dtype).removeprefix('torch.')}")
    check_same_device(op, boxes=boxes, **{name: labels})
    return labels.long()


def class_by_class(labels: Tensor | None, scores: Tensor, keep: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what `keep` keeps of the rows of each class, best score first; `keep` takes and returns rows."""
    rows = torch.arange(len(scores), device=scores.device)
    if labels is None:
        return keep(rows)
    classes, order = labels.sort(stable=True)
    counts = torch.unique_consecutive(classes, return_counts=True)[1].tolist()
    kept = [keep(part) for part in order.split(counts)]
    together = torch.cat(kept).sort().values if kept else rows  # by row, so that equal scores keep that order
    return together[scores[together].sort(descending=True, stable=True).indices]


def detections(boxes: Tensor, scores: Tensor, rows: Tensor) -> Tensor:
    """Return the boxes of some rows with their scores as the last column."""
    return torch.cat((boxes[rows], scores[rows, None]), dim=1)
