"""Give unused GPU memory back at chosen points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Empty CUDA's cache before or after epochs, or after every iteration; nothing without CUDA."""

    priority = "NORMAL"

    def __init__(self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False) -> None:
        self._before = before_epoch
        self._after = after_epoch
        self._each = after_iter

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._before:
            torch.cuda.empty_cache()

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._after:
            torch.cuda.empty_cache()

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        if self._each:
            torch.cuda.empty_cache()
