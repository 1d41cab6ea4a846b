"""The hook base class: every point of a run at which a hook may act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mimctl.engine.registry import HOOKS
from mimctl.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

PRIORITIES = {
    "HIGHEST": 0,
    "VERY_HIGH": 10,
    "HIGH": 30,
    "ABOVE_NORMAL": 40,
    "NORMAL": 50,
    "BELOW_NORMAL": 60,
    "LOW": 70,
    "VERY_LOW": 90,
    "LOWEST": 100,
}

HOOK_POINTS = (
    "before_run",
    "after_load_checkpoint",
    "before_train",
    "before_train_epoch",
    "before_train_iter",
    "after_train_iter",
    "after_train_epoch",
    "before_val",
    "before_val_epoch",
    "before_val_iter",
    "after_val_iter",
    "after_val_epoch",
    "after_val",
    "before_save_checkpoint",
    "after_train",
    "before_test",
    "before_test_epoch",
    "before_test_iter",
    "after_test_iter",
    "after_test_epoch",
    "after_test",
    "after_run",
)
"""Every point at which a hook may act, in MMEngine's order, which is that of a run."""

DataBatch = Any


def get_priority(priority: int | str) -> int:
    """Return a priority as a number from 0 (first) to 100 (last)."""
    if isinstance(priority, int) and not isinstance(priority, bool):
        if not 0 <= priority <= 100:
            raise ConfigError(f"a hook's priority must be between 0 and 100, got {priority}")
        return priority
    if isinstance(priority, str) and priority.upper() in PRIORITIES:
        return PRIORITIES[priority.upper()]
    near = nearest(str(priority).upper(), list(PRIORITIES))
    raise ConfigError(
        f"`{priority}` is no priority",
        hints=[f"did you mean `{near[0]}`?"] if near else [f"take a number or one of {', '.join(PRIORITIES)}"],
    )


@HOOKS.register_module()
class Hook:
    """Act at points of a run; every method does nothing until a subclass overrides it.

    Hooks of a lower `priority` number come first; those of equal priority in the order they were registered.
    `_before_epoch`, `_after_epoch`, `_before_iter` and `_after_iter` serve all three loops (`mode`).
    """

    priority: int | str = "NORMAL"
    stages = HOOK_POINTS

    def get_triggered_stages(self) -> list[str]:
        """Return the points at which this hook acts, in the order of a run."""
        return [point for point in HOOK_POINTS if acts_at(self, point)]

    def before_run(self, runner: Runner) -> None:
        """Act before anything runs; model and optimizer stand, weights are not loaded yet."""

    def after_run(self, runner: Runner) -> None:
        """Act after all."""

    def before_train(self, runner: Runner) -> None:
        """Act before the first epoch; weights and state are loaded."""

    def after_train(self, runner: Runner) -> None:
        """Act after the last epoch."""

    def before_val(self, runner: Runner) -> None:
        """Act before a validation."""

    def after_val(self, runner: Runner) -> None:
        """Act after a validation."""

    def before_test(self, runner: Runner) -> None:
        """Act before a test."""

    def after_test(self, runner: Runner) -> None:
        """Act after a test."""

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Change what is about to be saved."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read or change what was loaded, before the model takes it over."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Act before an epoch."""
        self._before_epoch(runner, mode="train")

    def before_val_epoch(self, runner: Runner) -> None:
        """Act before a pass over the validation data."""
        self._before_epoch(runner, mode="val")

    def before_test_epoch(self, runner: Runner) -> None:
        """Act before a pass over the test data."""
        self._before_epoch(runner, mode="test")

    def after_train_epoch(self, runner: Runner) -> None:
        """Act after an epoch; `runner.epoch` still counts it as not done."""
        self._after_epoch(runner, mode="train")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Act on the metrics of a validation."""
        self._after_epoch(runner, mode="val")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Act on the metrics of a test."""
        self._after_epoch(runner, mode="test")

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Act before a training step."""
        self._before_iter(runner, batch_idx, data_batch, mode="train")

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Act before a validation batch."""
        self._before_iter(runner, batch_idx, data_batch, mode="val")

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Act before a test batch."""
        self._before_iter(runner, batch_idx, data_batch, mode="test")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Act after a training step; `outputs` are the model's log values, not read from the device yet."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="train")

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Act on the predictions of a validation batch."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="val")

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Act on the predictions of a test batch."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="test")

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        pass

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        pass

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, mode: str = "train") -> None:
        pass

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, outputs: Any = None, mode: str = "train"
    ) -> None:
        pass

    def every_n_epochs(self, runner: Runner, n: int, start: int = 0) -> bool:
        """Return whether the epoch that is ending is number `start`, or the n-th, 2n-th, … after it."""
        done = runner.epoch + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Return whether the batch is the n-th, 2n-th, … of its epoch."""
        return n > 0 and (batch_idx + 1) % n == 0

    def every_n_train_iters(self, runner: Runner, n: int, start: int = 0) -> bool:
        """Return whether the iteration that is ending is number `start`, or the n-th, 2n-th, … after it."""
        done = runner.iter + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Return whether the batch is the last of its epoch."""
        return batch_idx + 1 == len(dataloader)

    def is_last_train_epoch(self, runner: Runner) -> bool:
        """Return whether the current epoch is the last."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_train_iter(self, runner: Runner) -> bool:
        """Return whether the current iteration is the last."""
        return runner.iter + 1 == runner.max_iters


_SHARED = {"epoch": "{when}_epoch", "iter": "{when}_iter"}


def acts_at(hook: Hook, point: str) -> bool:
    """Return whether a hook overrides what happens at `point`; the others need not be called."""
    kind = type(hook)
    if getattr(kind, point, None) is not getattr(Hook, point):
        return True
    when, _, rest = point.partition("_")
    shared = _SHARED.get(rest.rpartition("_")[2]) if "_" in rest else None
    if shared is None or "checkpoint" in point:
        return False
    name = "_" + shared.format(when=when)
    return getattr(kind, name) is not getattr(Hook, name)
