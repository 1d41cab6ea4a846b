"""Stop a training whose machine is about to be taken away: all ranks at one step, with a checkpoint that goes on.

The rules are those of docs/explanation/launching.md.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from mimctl.engine.checkpoints.checkpoint import point_to
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.random import rng_state, set_rng_state
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest
from mimctl.files import write_text

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

MARKER = "unfinished"
CHECKPOINT = "preempted.pth"
CHECK_EVERY_S = 2.0
"""Seconds, about, between two exchanges of several ranks about stopping."""


class Preempted(SystemExit):
    """A training has stopped because a signal asked for it; uncaught it ends the process with exit code 0.

    `epoch` and `iter` are what is done and in the checkpoint.
    """

    def __init__(self, checkpoint: Path, signal_name: str, *, epoch: int, iter: int) -> None:
        super().__init__(0)
        self.checkpoint = checkpoint
        self.signal_name = signal_name
        self.epoch = epoch
        self.iter = iter

    def __str__(self) -> str:
        return f"stopped by {self.signal_name}, to be resumed from {self.checkpoint}"


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Stop at the next step after one of `signals`: save `preempted.pth`, leave `unfinished` in the run's folder.

    A step is an iteration of the training or of its validation, which is then done anew after resuming. `lead_s`:
    seconds from the signal to the end of the process; a checkpoint that takes longer is warned of.
    Raises Preempted where the run stops. The signals go back to whom they belonged at the end of a run; a script that
    catches an exception of one calls `release` for that.
    """

    priority = "LOWEST"

    def __init__(self, signals: Sequence[str] = ("SIGTERM", "SIGUSR2"), lead_s: float = 30.0) -> None:
        self.signals = [_signal_of(name) for name in signals]
        self.lead_s = lead_s
        self._caught: signal.Signals | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._agreement = Agreement()
        self._saving_since: float | None = None
        self._rng: dict[str, Any] = {}
        self._common_steps = 0

    def before_run(self, runner: Runner) -> None:
        if runner.mode != "train":
            return
        if distributed.is_main_process():
            (runner.log_dir / MARKER).unlink(missing_ok=True)
        self._caught = None
        self._listen()

    def before_train(self, runner: Runner) -> None:
        self._agreement = Agreement()
        if self._is_asked():
            # Nothing has happened yet: a validation that the resumed checkpoint owes is still owed.
            is_owed = getattr(runner.train_loop, "_owes_validation", True)
            self._stop(runner, is_validated=runner.is_resuming and not is_owed)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self._saving_since is not None:
            self._judge_saving()
        if self._agreement.reached(self._caught is not None):
            self._stop(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._judge_saving()

    def before_val(self, runner: Runner) -> None:
        if not runner.is_training:
            return
        # What a validation draws is not part of the training's state.
        self._rng = rng_state()
        self._agreement = Agreement()
        # Where ranks have different numbers of batches, they meet in those that all of them have.
        steps = len(getattr(runner.val_loop, "dataloader", ()))
        self._common_steps = int(distributed.all_reduce(torch.tensor(steps), "min"))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.is_training and batch_idx < self._common_steps and self._is_asked():
            set_rng_state(self._rng)
            self._stop(runner)

    def after_val(self, runner: Runner) -> None:
        self._judge_saving()
        self._agreement = Agreement()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._saving_since = time.monotonic()

    def after_run(self, runner: Runner) -> None:
        self.release()

    def release(self) -> None:
        """Give the signals back to whom they belonged before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _listen(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            get_logger().warning("signals reach the main thread alone: this run cannot be preempted")
            return
        self._handlers = {number: signal.signal(number, self._note) for number in self.signals}
        # A signal that came before, while the run was being built, was held back.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._caught = signal.Signals(number)

    def _is_asked(self) -> bool:
        return self._agreement.reached(self._caught is not None)

    def _stop(self, runner: Runner, *, is_validated: bool = False) -> None:
        name = self._caught.name if self._caught is not None else "a signal to another rank"
        get_logger().warning("%s came: the run saves a checkpoint and stops, to be resumed", name)
        progress = runner.train_loop.state_dict()
        done = {"epoch": int(progress["epoch"]), "iter": int(progress["iter"])}
        path = runner.save_checkpoint(runner.work_dir, CHECKPOINT, meta={"is_validated": is_validated})
        self._judge_saving()
        if distributed.is_main_process():
            point_to(runner.work_dir, path)
            facts = {"signal": name, **done, "checkpoint": str(path)}
            runner.log_dir.mkdir(parents=True, exist_ok=True)
            write_text(runner.log_dir / MARKER, json.dumps(facts) + "\n")
            runner.events.emit("preempted", **facts)
        # Nobody leaves before all is written: launchers stop the other ranks some time after the first has ended.
        distributed.barrier()
        # The signals stay caught: a scheduler may send them again before the process has ended.
        raise Preempted(path, name, **done)

    def _judge_saving(self) -> None:
        if self._saving_since is None:
            return
        taken, self._saving_since = time.monotonic() - self._saving_since, None
        if taken > self.lead_s:
            get_logger().warning(
                "saving a checkpoint took %.0f s, but a run is killed %.0f s after its warning: ask for an earlier "
                "signal, and say so by `default_hooks.preemption.lead_s`",
                taken,
                self.lead_s,
            )


class Agreement:
    """Whether all ranks stop at this step, exchanged every few seconds; a single process decides by itself.

    The exchange also settles after how many steps the next one is, so that all ranks come to it together. That number
    at most doubles each time: a few quick steps at the start say little.
    """

    def __init__(self) -> None:
        self._is_alone = distributed.get_world_size() == 1
        self._steps = self._left = 1
        self._asked_at = time.monotonic()

    def reached(self, wish: bool) -> bool:
        """Return whether some rank wishes to stop; every rank calls this after each step."""
        if self._is_alone:
            return wish
        self._left -= 1
        if self._left:
            return False
        now = time.monotonic()
        pace = max(now - self._asked_at, 1e-6) / self._steps
        wanted = max(1, min(int(CHECK_EVERY_S / pace), 2 * self._steps))
        told = distributed.all_reduce(torch.tensor([int(wish), -wanted]), "max")
        self._steps = self._left = -int(told[1])
        self._asked_at = time.monotonic()
        return bool(told[0])


def _signal_of(name: str) -> signal.Signals:
    if name not in signal.Signals.__members__ or name in ("SIGKILL", "SIGSTOP"):
        near = nearest(str(name), list(signal.Signals.__members__), most=1)
        raise ConfigError(f"`{name}` is no signal that can be caught", code="bad-argument", hints=did_you_mean(near))
    return signal.Signals[name]
