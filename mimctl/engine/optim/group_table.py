"""The parameter groups of an optimizer as a short table for the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

MOST = 16
"""Groups that are listed; of the rest only the number is told."""
_KEPT_TO_THEMSELVES = ("params", "param_names", "param_name", "group_name")


def group_table(optimizer: Optimizer, model: nn.Module) -> str:
    """Return a line a group: how many parameters and numbers, the options in which groups differ, the first name."""
    groups = optimizer.param_groups
    names = {id(param): name for name, param in model.named_parameters()}
    rows = [("parameters", "numbers", *differing(groups), "first")]
    for group in groups[:MOST]:
        count = sum(param.numel() for param in group["params"])
        options = [_short(group.get(option)) for option in rows[0][2:-1]]
        rows.append((str(len(group["params"])), f"{count:,}", *options, names.get(id(group["params"][0]), "?")))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{len(groups)} parameter groups of {type(optimizer).__name__}:"]
    for row in rows:
        *cells, name = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(["", *cells, name.strip()]))
    if len(groups) > MOST:
        lines.append(f"  and {len(groups) - MOST} more")
    return "\n".join(lines)


def differing(groups: list[dict[str, Any]]) -> list[str]:
    """Return the options in which groups differ, `lr` and `weight_decay` first and always where there are any."""
    known = [key for key in ("lr", "weight_decay") if key in groups[0]]
    options = {key for group in groups for key in group} - {*known, *_KEPT_TO_THEMSELVES}
    return known + sorted(key for key in options if len({repr(group.get(key)) for group in groups}) > 1)


def _short(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.4g}"
    return "" if value is None else str(dict(value) if isinstance(value, Mapping) else value)
