"""Keep the buffers (batch statistics) of all ranks equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimctl.engine import distributed
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Average floating-point buffers over all ranks after each training epoch."""

    priority = "NORMAL"

    def after_train_epoch(self, runner: Runner) -> None:
        if distributed.get_world_size() == 1:
            return
        for buffer in runner.model.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer, "mean")
