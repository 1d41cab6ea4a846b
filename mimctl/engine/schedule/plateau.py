"""Reduce a value where a validation metric no longer improves."""

from __future__ import annotations

from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import LearningRate, Momentum, ParamScheduler
from mimctl.errors import ConfigError

Metrics = dict[str, float]


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauParamScheduler(ParamScheduler):
    """Multiply by `factor` after `patience` validations without a better `monitor`.

    `rule` is "less" or "greater"; better means by more than `threshold` ("rel": a share of the best, "abs"). After
    a reduction `cooldown` validations do not count. Values never fall below `min_value` (a list: one per group).
    """

    needs_metrics = True

    def __init__(
        self,
        optimizer: Any,
        param_name: str | None = None,
        monitor: str = "loss",
        rule: str = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: str = "rel",
        cooldown: int = 0,
        min_value: float | list[float] = 0.0,
        eps: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        if factor >= 1:
            raise ConfigError(f"`factor` must be below 1, got {factor}")
        if rule not in ("less", "greater") or threshold_rule not in ("rel", "abs"):
            raise ConfigError("`rule` must be `less` or `greater`, `threshold_rule` `rel` or `abs`")
        self.monitor = monitor
        self.rule = rule
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_rule = threshold_rule
        self.cooldown = cooldown
        self.min_value = min_value
        self.eps = eps
        self.best = float("inf") if rule == "less" else float("-inf")
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer, param_name, **kwargs)

    def step(self, metrics: Metrics | None = None) -> None:
        """Take the metrics of one validation; without them nothing changes."""
        self._global_step += 1
        if metrics is None or not self.begin <= self._global_step < self.end:
            self._last_value = [self._read(group) for group in self.groups]
            return
        if self.monitor not in metrics:
            raise ConfigError(
                f"`{type(self).__name__}` watches `{self.monitor}`, which no metric reports",
                hints=[f"the validation reports {', '.join(f'`{name}`' for name in metrics)}"],
            )
        self.last_step += 1
        self._count(float(metrics[self.monitor]))
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_value = [self._read(group) for group in self.groups]

    def _count(self, value: float) -> None:
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.rule == "less" else 1
        if self.threshold_rule == "abs":
            bound = self.best + sign * self.threshold
        else:
            bound = self.best * (1 + sign * self.threshold)
        return value < bound if self.rule == "less" else value > bound

    def _reduce(self) -> None:
        for place, group in enumerate(self.groups):
            floor = self.min_value[place] if isinstance(self.min_value, list) else self.min_value
            value = self._read(group)
            reduced = max(value * self.factor, floor)
            if value - reduced > self.eps:
                self._write(group, reduced)


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(LearningRate, ReduceOnPlateauParamScheduler):
    """Learning rate reduced on a plateau."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(Momentum, ReduceOnPlateauParamScheduler):
    """Momentum reduced on a plateau."""
