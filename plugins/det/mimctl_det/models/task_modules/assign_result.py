"""What an assigner answers: for every prior the ground truth it learns from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class AssignResult:
    """For N priors: `gt_inds` (0 background, i for truth i - 1, -1 ignored), overlap with it, label of it (-1 none)."""

    num_gts: int
    gt_inds: Tensor
    max_overlaps: Tensor
    labels: Tensor
