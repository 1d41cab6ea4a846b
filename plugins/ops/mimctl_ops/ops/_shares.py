"""Sums of shares of table rows: bilinear samples of many points at once, in pure PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sum_of_shares(table: Tensor, index: Tensor, shares: Tensor) -> Tensor:
    """Return (N, C): of the rows `index` (N, 4) of a table (R, C) the sum, each times its share (N, 4).

    The rows themselves are never brought together, which would take four times the memory of the result.
    """
    if table.shape[1] == 0:  # embedding_bag now and then fails for rows without numbers
        return (table[index] * shares[..., None]).sum(dim=1)
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=shares)
