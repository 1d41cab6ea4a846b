"""Tell the sampler which epoch begins, so that every epoch has its own order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Call `set_epoch` of the sampler, or of the batch sampler's sampler, before each training epoch."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: Runner) -> None:
        loader = runner.train_loop.dataloader
        for sampler in (getattr(loader, "sampler", None), getattr(loader.batch_sampler, "sampler", None)):
            set_epoch = getattr(sampler, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(runner.epoch)
                return
