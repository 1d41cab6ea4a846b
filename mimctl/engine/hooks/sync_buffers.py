"""Keep the buffers (batch statistics) of all ranks equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.ranks.collectives import all_reduce_params
from mimctl.engine.ranks.distributed import get_world_size
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Average floating-point buffers over all ranks after each training epoch, and before each validation inside one.

    Without it a validation and a checkpoint take the buffers of the first rank.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._is_done = False

    def after_train_epoch(self, runner: Runner) -> None:
        self._average(runner)
        self._is_done = True

    def before_val_epoch(self, runner: Runner) -> None:
        if not self._is_done:
            self._average(runner)
        self._is_done = False

    def _average(self, runner: Runner) -> None:
        if get_world_size() > 1:
            all_reduce_params((each for each in runner.model.buffers() if each.is_floating_point()), op="mean")
