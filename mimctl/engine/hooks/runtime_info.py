"""Keep the facts of a run (epoch, iteration, lengths) where models and other hooks find them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Record epoch, iteration and the model's log values in the message hub, without reading a tensor."""

    priority = "VERY_HIGH"

    def before_run(self, runner: Runner) -> None:
        hub = runner.message_hub
        hub.make_current()
        hub.update_info("experiment_name", runner.experiment_name)
        hub.update_info("seed", runner.seed)

    def before_train(self, runner: Runner) -> None:
        hub = runner.message_hub
        hub.recent = deque(maxlen=hub.window)
        hub.update_info("loop_stage", "train")
        # A validation that a resumed run makes up for counts as it would have where the run was interrupted.
        for name, count in (("epoch", runner.epoch), ("iter", runner.iter)):
            hub.update_info(name, hub.get_info(name, count))
        hub.update_info("max_epochs", runner.max_epochs)
        hub.update_info("max_iters", runner.max_iters)
        metainfo = getattr(runner.train_loop.dataloader.dataset, "metainfo", None)
        if metainfo is not None:
            hub.update_info("dataset_meta", metainfo)

    def before_train_epoch(self, runner: Runner) -> None:
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        runner.message_hub.update_info("iter", runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        hub = runner.message_hub
        hub.recent.append((runner.iter, outputs or {}))
        for name, value in (outputs or {}).items():
            hub.update_scalar(f"train/{name}", value)
        grad_norm = runner.optim_wrapper.last_grad_norm
        if isinstance(grad_norm, Tensor):
            hub.update_scalar("train/grad_norm", grad_norm)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._record(runner, "val", metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._record(runner, "test", metrics)

    def _record(self, runner: Runner, mode: str, metrics: dict[str, float] | None) -> None:
        for name, value in (metrics or {}).items():
            if isinstance(value, (int, float)):
                runner.message_hub.update_scalar(f"{mode}/{name}", value)
