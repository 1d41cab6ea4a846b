"""Stop a run whose metric no longer improves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mimctl.config.metric_rule import better, rule_of
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stop after `patience` validations in a row in which `monitor` was not better by `min_delta` at least.

    `rule`: "greater" or "less", by default from the metric's name. `stopping_threshold`: stop as soon as it is
    reached. `check_finite`: stop when the metric is nan or infinite. `strict`: refuse a metric that is not reported.
    """

    priority = "LOWEST"

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        self.monitor = monitor
        self.rule = rule or rule_of(monitor)
        self.min_delta = min_delta
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self._key = f"early_stopping/{monitor}"

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not runner.is_training:
            return
        if metrics is None or self.monitor not in metrics:
            message = f"`EarlyStoppingHook` watches `{self.monitor}`, which no metric reports"
            if self.strict:
                reported = ", ".join(f"`{name}`" for name in metrics or {})
                raise ConfigError(message, hints=[f"the validation reports {reported}"])
            get_logger().warning(message)
            return
        reason = self._judge(runner, float(metrics[self.monitor]))
        if reason:
            get_logger().info("stopping early: %s", reason)
            runner.train_loop.stop_training = True

    def _judge(self, runner: Runner, value: float) -> str | None:
        if self.check_finite and not math.isfinite(value):
            return f"{self.monitor} is {value}"
        if self.stopping_threshold is not None and better(value, self.stopping_threshold, self.rule):
            return f"{self.monitor} = {value:.4f} has passed {self.stopping_threshold}"
        # The count lives in the message hub, so that it survives a resume.
        best, waited = runner.message_hub.get_info(self._key, (None, 0))
        sign = 1 if self.rule == "greater" else -1
        if best is None or sign * value >= sign * best + self.min_delta:
            best, waited = value, 0
        else:
            waited += 1
        runner.message_hub.update_info(self._key, [best, waited])
        if waited < self.patience:
            return None
        return f"{self.monitor} was not better than {best:.4f} for {waited} validations"
