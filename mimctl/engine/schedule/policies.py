"""The schedules, each for any option (`…ParamScheduler`), the learning rate (`…LR`) and the momentum (`…Momentum`).

Formulas: I. Loshchilov and F. Hutter, SGDR (arXiv:1608.03983); L. Smith, Super-convergence (arXiv:1708.07120); the
recursive forms follow from the closed ones by dividing two neighbouring values.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, LearningRate, Momentum, ParamScheduler
from mimctl.errors import ConfigError


@PARAM_SCHEDULERS.register_module()
class ConstantParamScheduler(ParamScheduler):
    """Multiply by `factor` from `begin` on; give the initial value back at the last step before `end`."""

    def __init__(self, optimizer: Any, param_name: str | None = None, factor: float = 1.0 / 3, **kwargs: Any) -> None:
        if not 0 <= factor <= 1:
            raise ConfigError(f"`factor` must be between 0 and 1, got {factor}")
        self.factor = factor
        self.total_iters: int = kwargs.get("end", INF) - kwargs.get("begin", 0) - 1
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value * self.factor
        return value / self.factor if self.last_step == self.total_iters else value


@PARAM_SCHEDULERS.register_module()
class LinearParamScheduler(ParamScheduler):
    """Multiply by a factor that goes in a line from `start_factor` to `end_factor` between `begin` and `end`."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ConfigError(
                f"`start_factor` must be in (0, 1] and `end_factor` in [0, 1], got {start_factor} and {end_factor}"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters: int = kwargs.get("end", INF) - kwargs.get("begin", 0) - 1
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value * self.start_factor
        slope = self.end_factor - self.start_factor
        before: float = self.total_iters * self.start_factor + (self.last_step - 1) * slope
        return value * (1 + slope / before)


@PARAM_SCHEDULERS.register_module()
class StepParamScheduler(ParamScheduler):
    """Multiply by `gamma` every `step_size` steps."""

    def __init__(
        self, optimizer: Any, param_name: str | None = None, *, step_size: int, gamma: float = 0.1, **kwargs: Any
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        return value * self.gamma if self.last_step and self.last_step % self.step_size == 0 else value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "step_size": options["step_size"] * epoch_length}


@PARAM_SCHEDULERS.register_module()
class MultiStepParamScheduler(ParamScheduler):
    """Multiply by `gamma` at each of `milestones` (counted from `begin`)."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        *,
        milestones: Sequence[int],
        gamma: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.milestones = [int(each) for each in milestones]
        self.gamma = gamma
        self._times: dict[int, int] = dict(Counter(self.milestones))
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        times = self._times.get(self.last_step)
        return float(value * self.gamma**times) if times else value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "milestones": [each * epoch_length for each in options["milestones"]]}


@PARAM_SCHEDULERS.register_module()
class ExponentialParamScheduler(ParamScheduler):
    """Multiply by `gamma` at every step."""

    def __init__(self, optimizer: Any, param_name: str | None = None, *, gamma: float, **kwargs: Any) -> None:
        self.gamma = gamma
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        return value * self.gamma if self.last_step else value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "gamma": options["gamma"] ** (1 / epoch_length)}


class _WithFloor(ParamScheduler):
    """A schedule that falls towards `eta_min`, or `eta_min_ratio` times the initial value (at most one of both)."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        if eta_min is not None and eta_min_ratio is not None:
            raise ConfigError("give `eta_min` or `eta_min_ratio`, not both")
        self.eta_min = eta_min or 0.0
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, param_name, **kwargs)

    def floor(self, base: float) -> float:
        """Return the lowest value of a group."""
        return self.eta_min if self.eta_min_ratio is None else base * self.eta_min_ratio


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_WithFloor):
    """Fall along half a cosine over `T_max` steps (default: from `begin` to `end`), and rise again beyond."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        T_max: int | None = None,  # noqa: N803 — the field's name
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.T_max = T_max if T_max is not None else kwargs.get("end", INF) - kwargs.get("begin", 0)
        super().__init__(optimizer, param_name, eta_min=eta_min, eta_min_ratio=eta_min_ratio, **kwargs)

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
    """Fall along half a cosine in each of `periods`, starting each at `restart_weights[i]` times the initial value."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        *,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1.0,),
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        **kwargs: Any,
    ) -> None:
        if len(periods) != len(restart_weights):
            raise ConfigError(
                f"`periods` and `restart_weights` must be equally long, got {len(periods)} and {len(restart_weights)}"
            )
        self.periods = list(periods)
        self.restart_weights = list(restart_weights)
        self.cumulative_periods = [sum(self.periods[: place + 1]) for place in range(len(self.periods))]
        super().__init__(optimizer, param_name, eta_min=eta_min, eta_min_ratio=eta_min_ratio, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value
        place = min(bisect_right(self.cumulative_periods, self.last_step), len(self.periods) - 1)
        start = self.cumulative_periods[place - 1] if place else 0
        share = min((self.last_step - start) / self.periods[place], 1.0)
        floor = self.floor(base)
        return floor + 0.5 * self.restart_weights[place] * (base - floor) * (1 + math.cos(math.pi * share))

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "periods": [each * epoch_length for each in options["periods"]]}


@PARAM_SCHEDULERS.register_module()
class PolyParamScheduler(ParamScheduler):
    """Fall from the value at `begin` to `eta_min` at `end` as (1 - step / steps) ** power."""

    def __init__(
        self, optimizer: Any, param_name: str | None = None, eta_min: float = 0.0, power: float = 1.0, **kwargs: Any
    ) -> None:
        self.eta_min = eta_min
        self.power = power
        self.total_iters: int = kwargs.get("end", INF) - kwargs.get("begin", 0)
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value
        now = 1 - self.last_step / self.total_iters
        before = 1 - (self.last_step - 1) / self.total_iters
        return float((value - self.eta_min) * (now / before) ** self.power + self.eta_min)


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupParamScheduler(ParamScheduler):
    """Rise from near zero to the initial value at `end` as (step / steps) squared."""

    def __init__(self, optimizer: Any, param_name: str | None = None, **kwargs: Any) -> None:
        self.total_iters: int = kwargs.get("end", INF) - kwargs.get("begin", 0)
        if kwargs.get("end", INF) >= INF:
            raise ConfigError("a quadratic warm-up needs `end`")
        super().__init__(optimizer, param_name, **kwargs)

    def next_value(self, value: float, base: float) -> float:
        share = base * (2 * self.last_step + 1) / self.total_iters**2
        return share if self.last_step == 0 else value + share


@PARAM_SCHEDULERS.register_module()
class ConstantLR(LearningRate, ConstantParamScheduler):
    """Learning rate times a constant until `end`."""


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(Momentum, ConstantParamScheduler):
    """Momentum times a constant until `end`."""


@PARAM_SCHEDULERS.register_module()
class LinearLR(LearningRate, LinearParamScheduler):
    """Learning rate along a line, mostly a warm-up."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(Momentum, LinearParamScheduler):
    """Momentum along a line."""


@PARAM_SCHEDULERS.register_module()
class StepLR(LearningRate, StepParamScheduler):
    """Learning rate in equal steps."""


@PARAM_SCHEDULERS.register_module()
class StepMomentum(Momentum, StepParamScheduler):
    """Momentum in equal steps."""


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LearningRate, MultiStepParamScheduler):
    """Learning rate in steps at milestones."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(Momentum, MultiStepParamScheduler):
    """Momentum in steps at milestones."""


@PARAM_SCHEDULERS.register_module()
class ExponentialLR(LearningRate, ExponentialParamScheduler):
    """Learning rate falling exponentially."""


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(Momentum, ExponentialParamScheduler):
    """Momentum falling exponentially."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LearningRate, CosineAnnealingParamScheduler):
    """Learning rate along half a cosine."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(Momentum, CosineAnnealingParamScheduler):
    """Momentum along half a cosine."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartLR(LearningRate, CosineRestartParamScheduler):
    """Learning rate along half a cosine with restarts."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(Momentum, CosineRestartParamScheduler):
    """Momentum along half a cosine with restarts."""


@PARAM_SCHEDULERS.register_module()
class PolyLR(LearningRate, PolyParamScheduler):
    """Learning rate along a polynomial."""


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(Momentum, PolyParamScheduler):
    """Momentum along a polynomial."""


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupLR(LearningRate, QuadraticWarmupParamScheduler):
    """Learning rate warm-up along a parabola."""


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupMomentum(Momentum, QuadraticWarmupParamScheduler):
    """Momentum warm-up along a parabola."""
