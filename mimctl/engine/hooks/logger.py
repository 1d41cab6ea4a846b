"""Write what a run measures: log lines, JSON-lines scalars, progress events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimctl.engine.finite import check_losses
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.log import TOLD_BY_EVENT, get_logger
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class LoggerHook(Hook):
    """Log every `interval` iterations; tensors are read, and averaged over ranks, only then.

    `ignore_last`: leave out a shorter last interval of an epoch. `log_metric_by_epoch`: number metrics by epoch,
    else by iteration. The other arguments are accepted for older configs and do nothing.
    """

    priority = "BELOW_NORMAL"

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: Any = None,
        out_suffix: Any = None,
        keep_local: bool = True,
        file_client_args: Any = None,
        log_metric_by_epoch: bool = True,
        backend_args: Any = None,
    ) -> None:
        self.interval = interval
        self.ignore_last = ignore_last
        self.interval_exp_name = interval_exp_name
        self.log_metric_by_epoch = log_metric_by_epoch

    def before_train_epoch(self, runner: Runner) -> None:
        runner.events.emit(
            "phase", phase="train", epoch=runner.epoch + 1, max_epochs=runner.max_epochs, max_iters=runner.max_iters
        )

    def before_val_epoch(self, runner: Runner) -> None:
        runner.events.emit("phase", phase="val", epoch=runner.epoch, max_epochs=runner.max_epochs)

    def before_test_epoch(self, runner: Runner) -> None:
        runner.events.emit("phase", phase="test")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        loop = runner.train_loop
        is_due = (
            self.every_n_inner_iters(batch_idx, self.interval)
            if loop.is_by_epoch
            else self.every_n_train_iters(runner, self.interval)
        )
        is_end = loop.is_by_epoch and self.end_of_epoch(loop.dataloader, batch_idx)
        if not is_due and not (is_end and (not self.ignore_last or len(loop.dataloader) <= self.interval)):
            if self.is_last_train_iter(runner):
                check_losses(runner)
            return
        check_losses(runner)
        scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        get_logger().info(text, extra=TOLD_BY_EVENT)
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
        runner.events.emit(
            "step",
            phase="train",
            step=batch_idx + 1 if loop.is_by_epoch else runner.iter + 1,
            steps=len(loop.dataloader) if loop.is_by_epoch else runner.max_iters,
            epoch=runner.epoch + 1,
            scalars={name: value for name, value in scalars.items() if name not in ("epoch", "iter", "step")},
            eta_s=runner.message_hub.get_info("eta"),
        )

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._progress(runner, batch_idx, "val")

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._progress(runner, batch_idx, "test")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._metrics(runner, "val", metrics or {})

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._metrics(runner, "test", metrics or {})

    def _progress(self, runner: Runner, batch_idx: int, mode: str) -> None:
        if not self.every_n_inner_iters(batch_idx, self.interval):
            return
        loop = runner.val_loop if mode == "val" else runner.test_loop
        scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
        get_logger().info(text, extra=TOLD_BY_EVENT)
        steps = len(loop.dataloader)
        eta = scalars.get("time", 0.0) * (steps - batch_idx - 1)
        runner.events.emit(
            "step", phase=mode, step=batch_idx + 1, steps=steps, epoch=runner.epoch, scalars=scalars, eta_s=eta
        )

    def _metrics(self, runner: Runner, mode: str, metrics: dict[str, float]) -> None:
        scalars, text = runner.log_processor.get_log_after_epoch(runner, metrics, mode)
        get_logger().info(text, extra=TOLD_BY_EVENT)
        by_epoch = self.log_metric_by_epoch and runner.is_by_epoch
        runner.visualizer.add_scalars(scalars, step=runner.epoch if by_epoch else runner.iter)
        runner.events.emit("metrics", phase=mode, epoch=runner.epoch, iter=runner.iter, metrics=metrics)
