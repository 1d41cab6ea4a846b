"""User code of a toy experiment that gets signals: hooks that send them (imported by child processes)."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from mimctl.engine.hooks import Hook
from mimctl.engine.registry import HOOKS


@HOOKS.register_module()
class SendSignal(Hook):
    """Send this process a signal at the `at`-th call of a hook point, on one rank or on all."""

    priority = "HIGHEST"

    def __init__(self, name: str, point: str, at: int = 1, rank: int | None = None) -> None:
        self.number = getattr(signal, name)
        self.rank = rank
        self.calls_left = at
        setattr(self, point, self._send)

    def get_triggered_stages(self) -> list[str]:
        return []

    def _send(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        self.calls_left -= 1
        if self.calls_left == 0 and self.rank in (None, runner.rank):
            os.kill(os.getpid(), self.number)

    # Points are looked up in the class: each is there, and does something where an instance has its own.
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None: ...
    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None: ...
    def before_save_checkpoint(self, runner: Any, checkpoint: Any) -> None: ...
    def before_train(self, runner: Any) -> None: ...


@HOOKS.register_module()
class Slow(Hook):
    """Wait in each iteration, so that a signal from outside finds the run at work."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        time.sleep(0.3)
