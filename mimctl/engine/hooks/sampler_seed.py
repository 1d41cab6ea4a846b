"""Tell the sampler which epoch begins, so that every epoch has its own order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS
from mimctl.engine.running.feed import tell_epoch

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Call `set_epoch` of the sampler, or of the batch sampler's sampler, before each training epoch."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: Runner) -> None:
        tell_epoch(runner.train_loop.dataloader, runner.epoch)
