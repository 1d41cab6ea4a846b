"""Write what a run measures: log lines, JSON-lines scalars, a table, progress events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.ranks.distributed import is_main_process
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import TOLD_BY_EVENT, get_logger
from mimctl.engine.reporting.summary import Summary
from mimctl.engine.running.finite import check_losses

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

PROGRESS_EVERY_S = 2.0
"""Seconds after which a step is told as an event although nothing is logged."""


@HOOKS.register_module()
class LoggerHook(Hook):
    """Log every `interval` iterations; tensors are read, and averaged over ranks, only then.

    `ignore_last`: leave out a shorter last interval of an epoch. `log_metric_by_epoch`: number metrics by epoch,
    else by iteration. A row of `summary.csv` holds what was logged last before the end of an epoch or a validation, and
    its metrics. The other arguments are accepted for older configs and do nothing. Between two log points an
    event tells every two seconds how far the run is.
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
        self._shown: dict[str, Any] = {}
        self._trained: dict[str, Any] = {}
        self._summary: Summary | None = None
        self._told_at = 0.0

    def before_train(self, runner: Runner) -> None:
        if is_main_process():
            self._summary = Summary(runner.log_dir / "vis_data" / "summary.csv")

    def before_train_epoch(self, runner: Runner) -> None:
        self._begin()
        runner.events.emit(
            "phase", phase="train", epoch=runner.epoch + 1, max_epochs=runner.max_epochs, max_iters=runner.max_iters
        )

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin()
        runner.events.emit("phase", phase="val", epoch=runner.epoch, max_epochs=runner.max_epochs)

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin()
        runner.events.emit("phase", phase="test")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if not self._is_due(runner, batch_idx):
            if self.is_last_train_iter(runner):
                check_losses(runner)
            self._show_progress(runner, batch_idx, "train")
            return
        runner.message_hub.read()
        check_losses(runner)
        scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        get_logger().info(text, extra=TOLD_BY_EVENT)
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
        self._shown = {name: value for name, value in scalars.items() if name not in ("epoch", "iter", "step")}
        self._trained = self._shown
        self._emit_step(runner, batch_idx, "train")

    def after_train_epoch(self, runner: Runner) -> None:
        if runner.is_by_epoch:
            self._summarize(runner.epoch + 1, runner.iter, {})

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._after_evaluation_iter(runner, batch_idx, "val")

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._after_evaluation_iter(runner, batch_idx, "test")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._metrics(runner, "val", metrics or {})
        if runner.is_training:
            self._summarize(runner.epoch, runner.iter, metrics or {})

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._metrics(runner, "test", metrics or {})

    def _begin(self) -> None:
        self._shown = {}
        self._told_at = time.monotonic()

    def _summarize(self, epoch: int, iteration: int, metrics: dict[str, float]) -> None:
        if self._summary is not None:
            self._summary.put(epoch, iteration, {**self._trained, **metrics})

    def _is_due(self, runner: Runner, batch_idx: int) -> bool:
        loop = runner.train_loop
        if not loop.is_by_epoch:
            return self.every_n_train_iters(runner, self.interval)
        if self.every_n_inner_iters(batch_idx, self.interval):
            return True
        # An epoch shorter than the interval has its one line at its end.
        is_wanted = not self.ignore_last or len(loop.dataloader) <= self.interval
        return is_wanted and self.end_of_epoch(loop.dataloader, batch_idx)

    def _after_evaluation_iter(self, runner: Runner, batch_idx: int, mode: str) -> None:
        if not self.every_n_inner_iters(batch_idx, self.interval):
            self._show_progress(runner, batch_idx, mode)
            return
        scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
        get_logger().info(text, extra=TOLD_BY_EVENT)
        self._shown = scalars
        self._emit_step(runner, batch_idx, mode)

    def _show_progress(self, runner: Runner, batch_idx: int, mode: str) -> None:
        """Tell how far the run is between two log points, without reading a tensor."""
        if time.monotonic() - self._told_at >= PROGRESS_EVERY_S:
            self._emit_step(runner, batch_idx, mode)

    def _emit_step(self, runner: Runner, batch_idx: int, mode: str) -> None:
        self._told_at = time.monotonic()
        done, steps = batch_idx + 1, runner.max_iters
        hub = runner.message_hub
        if mode == "train":
            epoch, eta = runner.epoch + 1, hub.get_info("eta")
            if runner.is_by_epoch:
                steps = len(runner.train_loop.dataloader)
        else:
            epoch, steps = runner.epoch, len((runner.val_loop if mode == "val" else runner.test_loop).dataloader)
            times = hub.log_scalars.get(f"{mode}/time")
            eta = times.mean(self.interval) * (steps - done) if times else None
        runner.events.emit("step", phase=mode, step=done, steps=steps, epoch=epoch, scalars=self._shown, eta_s=eta)

    def _metrics(self, runner: Runner, mode: str, metrics: dict[str, float]) -> None:
        steps = len((runner.val_loop if mode == "val" else runner.test_loop).dataloader)
        scalars, text = runner.log_processor.get_log_after_epoch(runner, steps, mode, metrics=metrics)
        get_logger().info(text, extra=TOLD_BY_EVENT)
        by_epoch = self.log_metric_by_epoch and runner.is_by_epoch
        runner.visualizer.add_scalars(scalars, step=runner.epoch if by_epoch else runner.iter)
        runner.events.emit("metrics", phase=mode, epoch=runner.epoch, iter=runner.iter, metrics=metrics)
