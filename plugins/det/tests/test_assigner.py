"""Dynamic soft label assignment against a slow rendering of its definition, prior by prior and truth by truth."""

from __future__ import annotations

import math

import pytest
import torch

from mimctl.engine.structures import InstanceData
from mimctl.vision.structures import bbox_overlaps
from mimctl_det.models.task_modules.dynamic_soft_label import DynamicSoftLabelAssigner, soft_classification_cost
from mimctl_det.models.task_modules.points import MlvlPointGenerator


def _problem(seed, num_gts=4, num_classes=5):
    generator = torch.Generator().manual_seed(seed)
    priors = torch.cat(MlvlPointGenerator([8, 16], offset=0).grid_priors([(8, 8), (4, 4)], with_stride=True))
    reach = 4 + 20 * torch.rand(len(priors), 4, generator=generator)
    bboxes = torch.cat((priors[:, :2] - reach[:, :2], priors[:, :2] + reach[:, 2:]), dim=1)
    low = torch.rand(num_gts, 2, generator=generator) * 40
    truths = torch.cat((low, low + 6 + torch.rand(num_gts, 2, generator=generator) * 30), dim=1)
    labels = torch.randint(0, num_classes, (num_gts,), generator=generator)
    logits = torch.randn(len(priors), num_classes, generator=generator)
    return InstanceData(bboxes=bboxes, scores=logits, priors=priors), InstanceData(bboxes=truths, labels=labels)


def _cost(logits, label, iou, prior, truth):
    total = -3 * math.log(iou + 1e-7)
    for column, logit in enumerate(logits.tolist()):
        probability, wanted = 1 / (1 + math.exp(-logit)), iou if column == label else 0.0
        entropy = -wanted * math.log(probability) - (1 - wanted) * math.log(1 - probability)
        total += entropy * (wanted - probability) ** 2
    centre = ((truth[0] + truth[2]) / 2, (truth[1] + truth[3]) / 2)
    return total + 10 ** (math.dist(prior[:2], centre) / prior[2] - 3)


def _expected(pred, gt, topk):
    ious = bbox_overlaps(pred.bboxes, gt.bboxes).tolist()
    priors, truths = pred.priors.tolist(), gt.bboxes.tolist()

    def is_inside(prior, truth):
        return truth[0] < prior[0] < truth[2] and truth[1] < prior[1] < truth[3]

    rows = [row for row, prior in enumerate(priors) if any(is_inside(prior, truth) for truth in truths)]
    cost = {
        (row, number): _cost(pred.scores[row], int(gt.labels[number]), ious[row][number], priors[row], truth)
        for row in rows
        for number, truth in enumerate(truths)
    }
    claims = {row: [] for row in rows}
    for number in range(len(truths)):
        best = sorted((ious[row][number] for row in rows), reverse=True)[:topk]
        for row in sorted(rows, key=lambda each: cost[each, number])[: max(int(sum(best)), 1)]:
            claims[row].append(number)
    assigned = [0] * len(priors)
    for row, wanted in claims.items():
        if len(wanted) == 1:
            assigned[row] = wanted[0] + 1
        elif wanted:
            assigned[row] = min(range(len(truths)), key=lambda each: cost[row, each]) + 1
    return assigned


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("topk", [3, 13])
def test_assignment_equals_its_definition(seed, topk):
    pred, gt = _problem(seed)
    found = DynamicSoftLabelAssigner(topk=topk).assign(pred, gt)
    assert found.gt_inds.tolist() == _expected(pred, gt, topk)
    chosen = found.gt_inds > 0
    truth = found.gt_inds[chosen] - 1
    assert torch.equal(found.labels[chosen], gt.labels[truth])
    assert (found.labels[~chosen] == -1).all()
    assert torch.equal(found.max_overlaps[chosen], bbox_overlaps(pred.bboxes, gt.bboxes)[chosen, truth])


def test_more_truths_than_priors_get_at_most_one_prior_each():
    pred, gt = _problem(0, num_gts=40)
    found = DynamicSoftLabelAssigner(topk=13).assign(pred[:10], gt)
    assert found.gt_inds.tolist() == _expected(pred[:10], gt, 13)


def test_nothing_is_assigned_without_truths_or_priors_inside():
    pred, gt = _problem(0)
    assigner = DynamicSoftLabelAssigner()
    for truths in (gt[:0], InstanceData(bboxes=gt.bboxes + 1000, labels=gt.labels)):
        found = assigner.assign(pred, truths)
        assert not found.gt_inds.any()
        assert (found.labels == -1).all()
    assert assigner.assign(pred[:0], gt).gt_inds.shape == (0,)


def test_classification_cost_stays_exact_for_many_classes():
    logits, labels, ious = torch.randn(7, 80), torch.tensor([3, 3, 79]), torch.rand(7, 3)
    target = torch.nn.functional.one_hot(labels, 80) * ious[..., None]
    wide = logits[:, None].expand(7, 3, 80)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(wide, target, reduction="none")
    expected = (entropy * (target - wide.sigmoid()) ** 2).sum(-1)
    assert torch.allclose(soft_classification_cost(logits, labels, ious), expected, rtol=1e-5)
