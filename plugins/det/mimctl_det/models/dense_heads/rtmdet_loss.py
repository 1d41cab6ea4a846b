"""Targets and losses of RTMDet's heads, computed over all strides at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.ranks.distributed import all_reduce
from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import distance2bbox
from mimctl_det.models.dense_heads.base import full_precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What the head predicts for B images at N points of all strides."""

    logits: Tensor
    """(B, N, C)"""
    bboxes: Tensor
    """(B, N, 4), decoded, with their graph"""
    priors: Tensor
    """(N, 4): x, y, stride, stride"""
    counts: list[int]
    """Number of points of each stride; they add up to N."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the points of B images learn: flat over B * N."""

    labels: Tensor
    """Class, or the number of classes for background"""
    weights: Tensor
    """Weight of each point's classification; 0 outside of the image"""
    quality: Tensor
    """Overlap with its truth, 0 for background"""
    positive: Tensor
    """Rows of the positives (P,)"""
    bboxes: Tensor
    """The positives' boxes (P, 4)"""


def flatten(cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], priors: Sequence[Tensor]) -> Predictions:
    """Return the maps (B, C, H, W) and (B, 4, H, W) of all strides joined, distances decoded to boxes."""
    points = torch.cat(list(priors))
    distances = full_precision(torch.cat([each.flatten(2) for each in bbox_preds], dim=2)).transpose(1, 2)
    logits = full_precision(torch.cat([each.flatten(2) for each in cls_scores], dim=2)).transpose(1, 2)
    return Predictions(
        logits=logits,
        bboxes=distance2bbox(points, distances),
        priors=points,
        counts=[len(each) for each in priors],
    )


def assign(
    predictions: Predictions,
    truths: Sequence[InstanceData],
    valid: Sequence[Tensor | None],
    assigner: Any,
    *,
    num_classes: int,
    pos_weight: float,
) -> Targets:
    """Return the targets of a batch; `valid` masks each image's usable points (None: all)."""
    logits, bboxes = predictions.logits.detach(), predictions.bboxes.detach()
    shape = bboxes.shape[:2]
    labels = bboxes.new_full(shape, num_classes, dtype=torch.long)
    weights, quality = bboxes.new_ones(shape), bboxes.new_zeros(shape)
    positive, wanted = [], []
    for number, truth in enumerate(truths):
        mask = valid[number]
        usable = InstanceData(scores=logits[number], bboxes=bboxes[number], priors=predictions.priors)
        if mask is not None:
            usable = usable[mask]
            weights[number] = mask
        result = assigner.assign(usable, truth)
        chosen = (result.gt_inds > 0).nonzero().squeeze(1)
        rows = chosen if mask is None else mask.nonzero().squeeze(1)[chosen]
        labels[number, rows] = result.labels[chosen]
        quality[number, rows] = result.max_overlaps[chosen].to(quality.dtype)
        if pos_weight > 0:
            weights[number, rows] = pos_weight
        positive.append(rows + number * shape[1])
        wanted.append(truth.bboxes[result.gt_inds[chosen] - 1])
    return Targets(
        labels=labels.flatten(),
        weights=weights.flatten(),
        quality=quality.flatten(),
        positive=torch.cat(positive),
        bboxes=torch.cat(wanted).to(bboxes.dtype),
    )


def losses(predictions: Predictions, targets: Targets, loss_cls: Any, loss_bbox: Any) -> dict[str, list[Tensor]]:
    """Return `loss_cls` and `loss_bbox`, a value a stride, over the sum of qualities (mean of ranks, at least 1)."""
    num_classes = predictions.logits.shape[-1]
    per_point = loss_cls(
        predictions.logits.reshape(-1, num_classes),
        (targets.labels, targets.quality),
        targets.weights,
        reduction_override="none",
    )
    quality = targets.quality[targets.positive]
    per_box = loss_bbox(
        predictions.bboxes.reshape(-1, 4)[targets.positive],
        targets.bboxes,
        weight=quality,
        reduction_override="none",
    )
    num_points = len(predictions.priors)
    levels = torch.repeat_interleave(
        torch.arange(len(predictions.counts), device=quality.device),
        torch.tensor(predictions.counts, device=quality.device),
    )[targets.positive % num_points]
    factor = all_reduce(quality.sum(), "mean").clamp(min=1)
    cls_sums = [part.sum() / factor for part in per_point.view(-1, num_points).split(predictions.counts, dim=1)]
    box_sums = per_box.new_zeros(len(predictions.counts)).index_add(0, levels, per_box) / factor
    return {"loss_cls": cls_sums, "loss_bbox": list(box_sums.unbind())}


def valid_points(
    prior_generator: Any, featmap_sizes: Sequence[tuple[int, int]], meta: Mapping[str, Any], device: torch.device
) -> Tensor | None:
    """Return the mask (N,) of the points on the padded image, or None where that is all of them."""
    height, width = meta.get("pad_shape") or meta["img_shape"]
    covered = all(
        -(-height // stride_y) >= rows and -(-width // stride_x) >= columns
        for (rows, columns), (stride_x, stride_y) in zip(featmap_sizes, prior_generator.strides, strict=True)
    )
    return None if covered else torch.cat(prior_generator.valid_flags(featmap_sizes, (height, width), device))
