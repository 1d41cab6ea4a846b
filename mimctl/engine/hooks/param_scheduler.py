"""Step the schedulers, each at its own rhythm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.schedule.build import flat

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Step schedulers by iteration after each iteration, those by epoch after each epoch.

    Schedulers that count steps of the optimizer step where one was made. Those that watch a metric (`need_val_args`)
    get the metrics after each validation; what they count besides are the epochs or iterations of the training.
    """

    priority = "LOW"

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        for scheduler in flat(runner.param_schedulers):
            if scheduler.is_due_after_iteration():
                scheduler.step()

    def after_train_epoch(self, runner: Runner) -> None:
        for scheduler in flat(runner.param_schedulers):
            if scheduler.by_epoch:
                scheduler.step()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if metrics is None or not runner.is_training:
            return
        for scheduler in flat(runner.param_schedulers):
            if getattr(scheduler, "need_val_args", False):
                scheduler.step(metrics)  # type: ignore[call-arg]
