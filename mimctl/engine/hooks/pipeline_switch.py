"""Switch to another data pipeline late in a run (RTMDet drops mosaic and mixup for its last epochs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger
from mimctl.engine.running.feed import inner_datasets, stop_workers

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class PipelineSwitchHook(Hook):
    """Give the training dataset `switch_pipeline` from epoch `switch_epoch` on (0-based), also after a resume."""

    priority = "NORMAL"

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[dict[str, Any]]) -> None:
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._is_switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        if self._is_switched or runner.epoch < self.switch_epoch:
            return
        from mimctl.engine.data import Compose

        get_logger().info("epoch %d: the data pipeline is switched", runner.epoch + 1)
        for dataset in inner_datasets(runner.train_loop.dataloader.dataset):
            dataset.pipeline = Compose(list(self.switch_pipeline))
        # Persistent workers hold a copy of the old dataset.
        stop_workers(runner.train_loop.dataloader)
        self._is_switched = True
