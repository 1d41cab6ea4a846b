"""The label assignment of RTMDet: a SimOTA whose classification cost knows how good a box is (Lyu et al. 2022, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mimctl.engine.registry import TASK_UTILS
from mimctl.engine.structures import InstanceData
from mimctl_det.models.task_modules.assign_result import AssignResult
from mimctl_det.models.task_modules.overlaps import BboxOverlaps2D

_EPS = 1e-7
_NO_OVERLAP = -1e8


@TASK_UTILS.register_module()
class DynamicSoftLabelAssigner:
    """Give each ground truth its cheapest priors, as many as the sum of its `topk` best overlaps.

    The cost of a prior for a truth: soft classification cost, `iou_weight` times -log IoU, and 10 to the power of the
    distance from the truth's centre in strides less `soft_center_radius`. Only priors inside of some truth compete.
    """

    def __init__(
        self,
        soft_center_radius: float = 3.0,
        topk: int = 13,
        iou_weight: float = 3.0,
        iou_calculator: Mapping[str, Any] | None = None,
    ) -> None:
        self.soft_center_radius, self.topk, self.iou_weight = soft_center_radius, topk, iou_weight
        self.iou_calculator = TASK_UTILS.build(iou_calculator) if iou_calculator else BboxOverlaps2D()

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Return the assignment of N priors to G truths.

        `pred_instances`: `scores` (N, C) logits, `bboxes` (N, 4) decoded, `priors` (N, 4) x, y, stride, stride;
        `gt_instances`: `bboxes` (G, 4), `labels` (G,).
        """
        bboxes, logits, priors = pred_instances.bboxes, pred_instances.scores, pred_instances.priors
        gt_bboxes, gt_labels = gt_instances.bboxes, gt_instances.labels
        result = _nothing_assigned(bboxes, len(gt_bboxes))
        if len(gt_bboxes) == 0 or len(bboxes) == 0:
            return result
        inside = _inside(priors[:, :2], gt_bboxes).any(dim=1).nonzero().squeeze(1)
        if inside.numel() == 0:
            return result
        ious = self.iou_calculator(bboxes[inside], gt_bboxes)
        cost = (
            soft_classification_cost(logits[inside].float(), gt_labels, ious)
            - (ious + _EPS).log() * self.iou_weight
            + self._centre_cost(priors[inside], gt_bboxes)
        )
        chosen, gt = match(cost, ious, self.topk)
        rows = inside[chosen]
        result.gt_inds[rows] = gt + 1
        result.labels[rows] = gt_labels[gt].long()
        result.max_overlaps[rows] = ious[chosen, gt]
        return result

    def _centre_cost(self, priors: Tensor, gt_bboxes: Tensor) -> Tensor:
        centres = (gt_bboxes[:, :2] + gt_bboxes[:, 2:]) / 2
        distance = (priors[:, None, :2] - centres).pow(2).sum(dim=-1).sqrt() / priors[:, 2:3]
        return torch.pow(10, distance - self.soft_center_radius)


def soft_classification_cost(logits: Tensor, gt_labels: Tensor, ious: Tensor) -> Tensor:
    """Return the cost (P, G): cross entropy of logits (P, C) against the overlap at the truth's class, 0 elsewhere.

    Each term is weighed by (target - sigmoid) ** 2. Off the truth's class the terms are the same for every truth, so
    the sum over classes is taken once: P * C + P * G work instead of P * G * C.
    """
    scores = logits.sigmoid()
    background = F.softplus(logits) * scores.square()
    wanted = gt_labels.long()
    at_truth = logits[:, wanted]
    own = F.binary_cross_entropy_with_logits(at_truth, ious, reduction="none") * (ious - scores[:, wanted]).square()
    return background.sum(dim=1, keepdim=True) - background[:, wanted] + own


def match(cost: Tensor, ious: Tensor, topk: int) -> tuple[Tensor, Tensor]:
    """Return the rows of the priors chosen and the truth of each, from cost and overlaps (P, G).

    A truth gets k priors, k the (truncated) sum of its `topk` best overlaps but at least 1; a prior that several truths
    want goes to the one for which it is cheapest.
    """
    most = min(topk, len(cost))
    wanted = ious.topk(most, dim=0).values.sum(dim=0).int().clamp(min=1)
    cheapest = cost.topk(most, dim=0, largest=False).indices
    taken = torch.arange(len(cheapest), device=cost.device)[:, None] < wanted
    matching = torch.zeros_like(cost, dtype=torch.bool).scatter_(0, cheapest, taken)
    claims = matching.sum(dim=1)
    chosen = claims.nonzero().squeeze(1)
    several = claims[chosen] > 1
    gt = matching[chosen].int().argmax(dim=1)
    return chosen, torch.where(several, cost[chosen].argmin(dim=1), gt)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    return torch.minimum(points[:, None] - boxes[:, :2], boxes[:, 2:] - points[:, None]).amin(dim=-1) > 0


def _nothing_assigned(bboxes: Tensor, num_gts: int) -> AssignResult:
    size = (len(bboxes),)
    overlaps = 0.0 if num_gts == 0 or len(bboxes) == 0 else _NO_OVERLAP
    return AssignResult(
        num_gts,
        bboxes.new_zeros(size, dtype=torch.long),
        bboxes.new_full(size, overlaps),
        bboxes.new_full(size, -1, dtype=torch.long),
    )
