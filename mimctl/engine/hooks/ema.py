"""Keep a moving average of the weights, validate with it and save it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mimctl.engine.checkpoints.checkpoint import load_state_dict
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import HOOKS, MODELS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class EMAHook(Hook):
    """Average the weights after each iteration; the model validates, tests and is saved with the average.

    `ema_type` names an averaged model (ExponentialMovingAverage, ExpMomentumEMA, …), further arguments are its own.
    Averaging begins after `begin_iter` iterations or `begin_epoch` epochs (at most one of both). In a checkpoint
    `state_dict` holds the average and `ema_state_dict` the trained weights, as MMEngine does it.
    """

    priority = "NORMAL"

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        if begin_iter and begin_epoch:
            raise ConfigError("`EMAHook` takes `begin_iter` or `begin_epoch`, not both")
        self.strict_load = strict_load
        self.begin_iter = begin_iter
        self.begin_epoch = begin_epoch
        self.ema_cfg = dict(type=ema_type, **kwargs)
        self.ema_model: Any = None
        self.src_model: nn.Module | None = None
        self._is_swapped = False

    def before_run(self, runner: Runner) -> None:
        if runner.mode == "train":
            self.src_model = runner.bare_model
            self.ema_model = MODELS.build(self.ema_cfg, model=self.src_model)

    def before_train(self, runner: Runner) -> None:
        for name, begin, end in (
            ("begin_epoch", self.begin_epoch, runner.max_epochs),
            ("begin_iter", self.begin_iter, runner.max_iters),
        ):
            if begin > end:
                raise ConfigError(f"`EMAHook` begins at `{name}={begin}`, behind the end of the training ({end})")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        assert self.src_model is not None
        if self._is_averaging(runner):
            self.ema_model.update_parameters(self.src_model)
        else:
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def before_val_epoch(self, runner: Runner) -> None:
        self._swap(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._swap(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        self._swap(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._swap(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self.ema_model is None:
            return
        distributed.share(self.ema_model.module.buffers())
        checkpoint["ema_state_dict"] = self.ema_model.state_dict()
        # In the middle of a validation the tensors that are exchanged for it are exchanged already.
        _swap_states(checkpoint, except_for=self._names() if self._is_swapped else ())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self.ema_model is None:
            return
        if runner.is_resuming and "ema_state_dict" in checkpoint:
            _swap_states(checkpoint)
            self.ema_model.load_state_dict(checkpoint["ema_state_dict"], strict=self.strict_load)
            return
        if runner.is_resuming:
            get_logger().warning("the checkpoint holds no moving average: it starts anew from the weights")
        load_state_dict(self.ema_model.module, copy.deepcopy(checkpoint["state_dict"]), strict=self.strict_load)

    def _is_averaging(self, runner: Runner) -> bool:
        if self.begin_epoch:
            return runner.epoch + 1 >= self.begin_epoch
        return runner.iter + 1 >= self.begin_iter

    @torch.no_grad()
    def _swap(self, runner: Runner) -> None:
        if self.ema_model is None or not self._is_averaging(runner) or self.src_model is None:
            return
        self._is_swapped = not self._is_swapped
        for averaged, trained in zip(self._tensors(self.ema_model.module), self._tensors(self.src_model), strict=True):
            kept = averaged.clone()
            averaged.copy_(trained)
            trained.copy_(kept)

    def _tensors(self, model: nn.Module) -> Iterator[Tensor]:
        if self.ema_model.update_buffers:
            return itertools.chain(model.parameters(), model.buffers())
        return model.parameters()

    def _names(self) -> set[str]:
        assert self.src_model is not None
        names = {name for name, _ in self.src_model.named_parameters(remove_duplicate=False)}
        if self.ema_model.update_buffers:
            names |= {name for name, _ in self.src_model.named_buffers(remove_duplicate=False)}
        return names


def _swap_states(checkpoint: dict[str, Any], *, except_for: Collection[str] = ()) -> None:
    """Exchange the trained and the averaged weights of a checkpoint, both ways."""
    state, averaged = dict(checkpoint["state_dict"]), dict(checkpoint["ema_state_dict"])
    for key in state:
        twin = f"module.{key}"
        if twin in averaged and key not in except_for:
            state[key], averaged[twin] = averaged[twin], state[key]
    checkpoint["state_dict"], checkpoint["ema_state_dict"] = state, averaged
