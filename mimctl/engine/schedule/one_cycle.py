"""The one-cycle schedule: up, down and far down within a run (L. Smith, arXiv:1708.07120)."""

from __future__ import annotations

import math
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import LearningRate, ParamScheduler
from mimctl.errors import ConfigError


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(ParamScheduler):
    """Rise from eta_max / div_factor to `eta_max` over `pct_start` of `total_steps`, then fall far below the start.

    With `three_phase` the value falls back to the start first and then to the start / `final_div_factor`.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        eta_max: float = 0.0,
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        **kwargs: Any,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(f"`anneal_strategy` must be `cos` or `linear`, got `{anneal_strategy}`")
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"`pct_start` must be between 0 and 1, got {pct_start}")
        if total_steps is None and kwargs.get("end") is None:
            raise ConfigError("`OneCycle` needs `total_steps` or `end`")
        self.total_steps = total_steps if total_steps is not None else kwargs["end"] - kwargs.get("begin", 0)
        self.eta_max = eta_max
        self.start = eta_max / div_factor
        self.lowest = self.start / final_div_factor
        self.anneal_strategy = anneal_strategy
        rise = float(pct_start * self.total_steps) - 1
        last = float(self.total_steps) - 1
        # (last step of the phase, value at its start, value at its end)
        if three_phase:
            back = float(2 * pct_start * self.total_steps) - 2
            self.phases = [
                [rise, self.start, eta_max],
                [back, eta_max, self.start],
                [last, self.start, self.lowest],
            ]
        else:
            self.phases = [[rise, self.start, eta_max], [last, eta_max, self.lowest]]
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        begin = 0.0
        for number, (end, first, last) in enumerate(self.phases):
            if self.last_step <= end or number == len(self.phases) - 1:
                share = (self.last_step - begin) / (end - begin)
                return self._between(first, last, min(share, 1.0))
            begin = end
        return value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        total = options.get("total_steps")
        return options if total is None else {**options, "total_steps": total * epoch_length}

    def _between(self, first: float, last: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return first + (last - first) * share
        return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


@PARAM_SCHEDULERS.register_module()
class OneCycleLR(LearningRate, OneCycleParamScheduler):
    """Learning rate in one cycle."""
