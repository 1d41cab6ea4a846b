"""Reduce a value where a validation metric no longer improves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.engine.schedule.one_cycle import per_group
from mimctl.errors import ConfigError, did_you_mean, nearest

Metrics = dict[str, float]


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauParamScheduler(ParamScheduler):
    """Multiply by `factor` after more than `patience` validations in a row without a better `monitor`.

    `rule` is "less" or "greater"; better means by more than `threshold` ("rel": a share of the best, "abs"). After
    a reduction `cooldown` validations do not count. Values never fall below `min_value` (a list: one per group) and
    are left where they would fall by `eps` or less. `begin` and `end` count the training's epochs (or iterations).
    """

    need_val_args = True

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        monitor: str = "loss",
        rule: str = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: str = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if factor >= 1:
            raise ConfigError(f"`factor` must be below 1, got {factor}")
        if rule not in ("less", "greater") or threshold_rule not in ("rel", "abs"):
            raise ConfigError("`rule` must be `less` or `greater`, `threshold_rule` `rel` or `abs`")
        if threshold < 0:
            raise ConfigError(f"`threshold` must not be negative, got {threshold}")
        self.monitor = monitor
        self.rule = rule
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_rule = threshold_rule
        self.cooldown = cooldown
        self.min_values = per_group(min_value, len(optimizer.param_groups), "min_value")
        self.eps = eps
        self.best = float("inf") if rule == "less" else float("-inf")
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def step(self, metrics: Metrics | None = None) -> None:
        """Take the metrics of one validation; without them, count an epoch (or iteration) of the training."""
        if metrics is None:
            self._global_step += 1
            return
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._count(self._watched(metrics))
            if self.num_bad_epochs > self.patience:
                self._set(self._get_value())
                self.cooldown_counter = self.cooldown
                self.num_bad_epochs = 0
        self._last_value = self._current()

    def _start(self) -> None:
        self._global_step = 0

    def _watched(self, metrics: Metrics) -> float:
        if self.monitor not in metrics:
            reported = ", ".join(f"`{name}`" for name in metrics) or "nothing"
            raise ConfigError(
                f"`{type(self).__name__}` watches `{self.monitor}`, which no metric reports",
                hints=[*did_you_mean(nearest(self.monitor, list(metrics))), f"the validation reports {reported}"],
            )
        return float(metrics[self.monitor])

    def _get_value(self) -> list[float]:
        values = []
        for value, floor in zip(self._current(), self.min_values, strict=True):
            reduced = max(value * self.factor, floor)
            values.append(reduced if value - reduced > self.eps else value)
        return values

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
