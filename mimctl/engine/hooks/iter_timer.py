"""Measure how long iterations and the waiting for data take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Record `time` and `data_time` (seconds) of each iteration; estimate when the run ends (`eta`)."""

    priority = "NORMAL"

    def __init__(self) -> None:
        self._last = 0.0
        self._total = 0.0
        self._start_iter = 0

    def before_train(self, runner: Runner) -> None:
        self._start_iter = runner.iter
        self._total = 0.0

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self._last = time.perf_counter()

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = "train") -> None:
        runner.message_hub.update_scalar(f"{mode}/data_time", time.perf_counter() - self._last)

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        now = time.perf_counter()
        taken = now - self._last
        self._last = now
        hub = runner.message_hub
        hub.update_scalar(f"{mode}/time", taken)
        if mode == "train":
            self._total += taken
            average = self._total / (runner.iter - self._start_iter + 1)
            hub.update_info("eta", average * (runner.max_iters - runner.iter - 1))
