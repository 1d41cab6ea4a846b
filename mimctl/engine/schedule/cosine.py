"""Schedules along half a cosine, once or with restarts (I. Loshchilov and F. Hutter, SGDR, arXiv:1608.03983)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.errors import ConfigError


class _WithFloor(ParamScheduler):
    """A schedule that falls towards `eta_min`, or `eta_min_ratio` times the initial value (at most one of both)."""

    eta_min: float
    eta_min_ratio: float | None

    def set_floor(self, eta_min: float | None, eta_min_ratio: float | None) -> None:
        """Set how low values fall; 0 where neither is given."""
        if eta_min is not None and eta_min_ratio is not None:
            raise ConfigError("give `eta_min` or `eta_min_ratio`, not both")
        self.eta_min = eta_min or 0.0
        self.eta_min_ratio = eta_min_ratio

    def floor(self, base: float) -> float:
        """Return the lowest value of a group."""
        return self.eta_min if self.eta_min_ratio is None else base * self.eta_min_ratio


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_WithFloor):
    """Fall along half a cosine over `T_max` steps (default: from `begin` to `end`), and rise again beyond."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        T_max: int | None = None,  # noqa: N803 — the field's name
        eta_min: float | None = None,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        eta_min_ratio: float | None = None,
    ) -> None:
        self.set_floor(eta_min, eta_min_ratio)
        self.T_max = T_max or (end - begin)
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value
        floor = self.floor(base)
        if (self.last_step - 1 - self.T_max) % (2 * self.T_max) == 0:
            return value + (base - floor) * (1 - math.cos(math.pi / self.T_max)) / 2
        now = 1 + math.cos(math.pi * self.last_step / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_step - 1) / self.T_max)
        return now / before * (value - floor) + floor

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        t_max = options.get("T_max")
        return options if t_max is None else {**options, "T_max": t_max * epoch_length}


@PARAM_SCHEDULERS.register_module()
class CosineRestartParamScheduler(_WithFloor):
    """Fall along half a cosine in each of `periods`, starting each at `restart_weights[i]` times the initial value.

    Behind the last period values stay as they are.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if len(periods) != len(restart_weights):
            raise ConfigError(
                f"`periods` and `restart_weights` must be equally long, got {len(periods)} and {len(restart_weights)}"
            )
        self.set_floor(eta_min, eta_min_ratio)
        self.periods = list(periods)
        self.restart_weights = list(restart_weights)
        self.cumulative_periods = list(accumulate(self.periods))
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        place = bisect_right(self.cumulative_periods, self.last_step)
        if place == len(self.periods):
            return value
        step = self.last_step - (self.cumulative_periods[place - 1] if place else 0)
        if step == 0:
            return base * self.restart_weights[place]
        floor = self.floor(base)
        now = 1 + math.cos(math.pi * step / self.periods[place])
        before = 1 + math.cos(math.pi * (step - 1) / self.periods[place])
        return now / before * (value - floor) + floor

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "periods": [each * epoch_length for each in options["periods"]]}
