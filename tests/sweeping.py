"""A toy sweep whose trials are drawn: what the tests of sweeps on one machine and under Slurm share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from login_node import Login

LR = "optim_wrapper.optimizer.lr"
RANGE = f"{LR}=1e-5..1e-1:log"
FIRST_EPOCH = 16
"""Iterations of the toy's first epoch, after which it validates."""


def choice(kind: str, at: int = FIRST_EPOCH + 1) -> str:
    """Return an axis: nothing, or trouble of a kind at an iteration."""
    return f"custom_hooks=[],[dict(type='Trouble',kind='{kind}',at={at})]"


def seed_where(is_wanted: Callable[[list[dict[str, Any]]], bool], axis: str, *, trials: int) -> int:
    """Return a seed with which points are drawn as a test wants them; `custom_hooks` is whether there is trouble."""
    from mimctl.launch.sweep.axes import read_grid
    from mimctl.launch.sweep.study import Study, draws

    axes = read_grid([RANGE, axis])
    for seed in range(1000):
        drawn = [point for _, point in draws(Study(None, axes, sampler="random", seed=seed), trials)]
        if is_wanted([{LR: point[LR], "trouble": bool(point["custom_hooks"])} for point in drawn]):
            return seed
    raise AssertionError("no seed draws that")


def a_good_one_then_a_bad_one(points: list[dict[str, Any]]) -> bool:
    """Say whether the first trial learns and ends, the second one learns next to nothing and makes trouble."""
    first, second, *others = points
    is_bad = second["trouble"] and second[LR] < 1e-3
    return not first["trouble"] and first[LR] > 0.03 and is_bad and not any(each["trouble"] for each in others)


def told(login: Login, folder: str = "sweeps/toy") -> dict[str, Any]:
    """Return what the report of a sweep says."""
    found: dict[str, Any] = json.loads(login.mimctl("sweep", "report", folder, "--json").stdout)
    return found


def states(login: Login, folder: str = "sweeps/toy") -> list[str]:
    """Return the states of a sweep's trials."""
    return [each["state"] for each in told(login, folder)["trials"]]
