"""Schedules for any option of the parameter groups: constant, lines, steps and powers; cosines are in `cosine`.

Each has its learning-rate and momentum forms in `learning_rate` and `momentum`. The recursive forms follow from the
closed ones by dividing two neighbouring values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.errors import ConfigError


@PARAM_SCHEDULERS.register_module()
class ConstantParamScheduler(ParamScheduler):
    """Multiply by `factor` from `begin` on; give the value back at the last step before `end`."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        factor: float = 1.0 / 3,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ConfigError(f"`factor` must be between 0 and 1, got {factor}")
        self.factor = factor
        self.total_iters: int = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value * self.factor
        if self.last_step != self.total_iters:
            return value
        return value / self.factor if self.factor else base  # what was multiplied by nothing cannot be divided back


@PARAM_SCHEDULERS.register_module()
class LinearParamScheduler(ParamScheduler):
    """Multiply by a factor that goes in a line from `start_factor` to `end_factor`, its value at the step `end` - 1."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ConfigError(
                f"`start_factor` must be in (0, 1] and `end_factor` in [0, 1], got {start_factor} and {end_factor}"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters: int = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

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
        self,
        optimizer: Any,
        param_name: str,
        step_size: int,
        gamma: float = 0.1,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if step_size < 1:
            raise ConfigError(f"`step_size` must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

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
        param_name: str,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_step: int = -1,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.milestones = [int(each) for each in milestones]
        self.gamma = gamma
        self._times: dict[int, int] = dict(Counter(self.milestones))
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        times = self._times.get(self.last_step)
        return float(value * self.gamma**times) if times else value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "milestones": [each * epoch_length for each in options["milestones"]]}


@PARAM_SCHEDULERS.register_module()
class ExponentialParamScheduler(ParamScheduler):
    """Multiply by `gamma` at every step; an epoch that is turned into iterations multiplies by `gamma` as a whole."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        gamma: float,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        return value * self.gamma if self.last_step else value

    @classmethod
    def scale_to_iters(cls, options: dict[str, Any], epoch_length: int) -> dict[str, Any]:
        return {**options, "gamma": options["gamma"] ** (1 / epoch_length)}


@PARAM_SCHEDULERS.register_module()
class PolyParamScheduler(ParamScheduler):
    """Fall from the value at `begin` to `eta_min` at the step `end` - 1, as (1 - step / steps) ** power."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        eta_min: float = 0.0,
        power: float = 1.0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.eta_min = eta_min
        self.power = power
        self.total_iters: int = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        if self.last_step == 0:
            return value
        left = 1 - 1 / (self.total_iters - self.last_step + 1)
        return float((value - self.eta_min) * left**self.power + self.eta_min)


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupParamScheduler(ParamScheduler):
    """Rise from near zero to the initial value at `end` as (step / steps) squared (MMDetection's)."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if end >= INF:
            raise ConfigError("a quadratic warm-up needs `end`")
        self.total_iters: int = end - begin
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def next_value(self, value: float, base: float) -> float:
        share = base * (2 * self.last_step + 1) / self.total_iters**2
        return share if self.last_step == 0 else value + share
