"""The one-cycle schedule: up, down and far down within a run (L. Smith, arXiv:1708.07120)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.errors import ConfigError


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(ParamScheduler):
    """Rise from eta_max / div_factor to `eta_max` over `pct_start` of `total_steps`, then fall far below the start.

    With `three_phase` the value falls back to the start first and then to the start / `final_div_factor`. `eta_max` is
    one number, or one for each parameter group. The optimizer's own value counts for nothing. `total_steps` is
    `end` - `begin` unless it is given; behind it the last value stays.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        eta_max: float | Sequence[float] = 0,
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(f"`anneal_strategy` must be `cos` or `linear`, got `{anneal_strategy}`")
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"`pct_start` must be between 0 and 1, got {pct_start}")
        if total_steps is None and end >= INF:
            raise ConfigError("`OneCycle` needs `total_steps` or `end`")
        if total_steps is not None and total_steps < 1:
            raise ConfigError(f"`total_steps` must be at least 1, got {total_steps}")
        self.total_steps: int = total_steps if total_steps is not None else end - begin
        self.anneal_strategy = anneal_strategy
        self.phases = _phases(self.total_steps, pct_start, three_phase=three_phase)
        if last_step == -1:
            groups = optimizer.param_groups
            for group, highest in zip(groups, per_group(eta_max, len(groups), "eta_max"), strict=True):
                group[f"initial_{param_name}"] = highest / div_factor
                group[f"max_{param_name}"] = highest
                group[f"min_{param_name}"] = highest / div_factor / final_div_factor
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _get_value(self) -> list[float]:
        begin = 0.0
        for number, (end, first, last) in enumerate(self.phases):
            if self.last_step <= end or number == len(self.phases) - 1:
                share = (self.last_step - begin) / (end - begin) if end != begin else 1.0
                ends = (f"{first}_{self.param_name}", f"{last}_{self.param_name}")
                return [self._between(group[ends[0]], group[ends[1]], min(share, 1.0)) for group in self.groups]
            begin = end
        raise AssertionError("there is always a last phase")

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        total = options.get("total_steps")
        return options if total is None else {**options, "total_steps": total * epoch_length}

    def _between(self, first: float, last: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return first + (last - first) * share
        return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


def per_group(value: float | Sequence[float], num_groups: int, name: str) -> list[float]:
    """Return one value for each parameter group; ConfigError for a list of another length.

    An optimizer wrapper with several groups has one more, which follows the config's own value: it gets the last.
    """
    if isinstance(value, int | float):
        return [float(value)] * num_groups
    values = [float(each) for each in value]
    if len(values) == num_groups - 1:
        values.append(values[-1])
    if len(values) != num_groups:
        raise ConfigError(f"`{name}` has {len(values)} values for {num_groups} parameter group(s)")
    return values


def _phases(total_steps: int, pct_start: float, *, three_phase: bool) -> list[tuple[float, str, str]]:
    """Return (last step, value at the start, value at the end) of each phase."""
    rise = float(pct_start * total_steps) - 1
    last = float(total_steps - 1)
    if not three_phase:
        return [(rise, "initial", "max"), (last, "max", "min")]
    return [(rise, "initial", "max"), (2 * rise, "max", "initial"), (last, "initial", "min")]
