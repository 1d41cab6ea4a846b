"""What a Runner offers beside running: its parts built from other configs, and facts, in MMEngine's names.

Loops, hooks and scripts of the field call these (`runner.build_dataloader(cfg, seed=runner.seed)`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from mimctl.engine import distributed
from mimctl.engine.collectives import sync_random_seed
from mimctl.engine.data.loader import build_dataloader
from mimctl.engine.evaluation import Evaluator
from mimctl.engine.hooks.hook import Hook, get_priority
from mimctl.engine.optim import OptimWrapper, build_optim_wrapper
from mimctl.engine.parallel import build_model, wrap_model
from mimctl.engine.random import choose_seed, seed_everything
from mimctl.engine.registry import EVALUATORS, METRICS
from mimctl.engine.schedule.build import RunLengths, Schedulers, build_param_schedulers
from mimctl.engine.scopes import use_scope

if TYPE_CHECKING:
    from mimctl.engine.loops import TrainLoop

Cfg = Mapping[str, Any]


class RunnerParts:
    """The half of a Runner that builds parts; which of them a run uses is the other half's business."""

    cfg: Any
    scope: str | None
    device: torch.device
    hooks: list[Hook]
    seed: int
    diff_rank_seed: bool
    deterministic: bool
    _parts: dict[str, Any]

    if TYPE_CHECKING:

        @property
        def model(self) -> nn.Module: ...
        @property
        def optim_wrapper(self) -> OptimWrapper: ...
        @property
        def train_loop(self) -> TrainLoop: ...
        @property
        def val_loop(self) -> Any: ...
        @property
        def test_loop(self) -> Any: ...
        def register_hook(self, hook: Hook | Cfg, priority: int | str | None = None) -> None: ...

    @property
    def launcher(self) -> str:
        """Return what started the ranks: `none`, `pytorch` or `slurm`."""
        return str(self._parts["launcher"])

    @property
    def distributed(self) -> bool:
        """Return whether there are several ranks."""
        return distributed.is_distributed()

    @property
    def model_name(self) -> str:
        """Return the name of the model's class."""
        return type(self.model.module if hasattr(self.model, "module") else self.model).__name__

    @property
    def val_evaluator(self) -> Evaluator:
        """Return the evaluator of the validation."""
        evaluator: Evaluator = self.val_loop.evaluator
        return evaluator

    @property
    def test_evaluator(self) -> Evaluator:
        """Return the evaluator of the test."""
        evaluator: Evaluator = self.test_loop.evaluator
        return evaluator

    @property
    def val_interval(self) -> int:
        """Return after how many epochs or iterations the training validates."""
        return self.train_loop.val_interval

    @property
    def val_begin(self) -> int:
        """Return the first epoch or iteration that may be validated."""
        return self.train_loop.val_begin

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader[Any] | Cfg, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader[Any]:
        """Build a dataloader from its config; without a seed the ranks agree on a random one."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        seed = sync_random_seed() if seed is None else seed
        return build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)

    def build_evaluator(self, evaluator: Evaluator | Cfg | Sequence[Any]) -> Evaluator:
        """Build an evaluator from one metric or several, or from a config of its own (`type`, `metrics`)."""
        if isinstance(evaluator, Evaluator):
            return evaluator
        with use_scope(self.scope):
            if isinstance(evaluator, Mapping) and "metrics" in evaluator:
                built: Evaluator = EVALUATORS.build({"type": "Evaluator", **evaluator})
                return built
            if isinstance(evaluator, Mapping) and METRICS.get(str(evaluator.get("type"))) is None:
                other: Evaluator = EVALUATORS.build(evaluator)
                return other
            return Evaluator(evaluator)

    def build_model(self, model: nn.Module | Cfg) -> nn.Module:
        """Build a model from its config and put it on the device, wrapped where there are several ranks."""
        options = self.cfg if isinstance(self.cfg, Mapping) else {}
        with use_scope(self.scope):
            return build_model(model, self._parts["data_preprocessor"], self.device, options)

    def wrap_model(self, model_wrapper_cfg: Cfg | None, model: nn.Module) -> nn.Module:
        """Return a model on the device, wrapped where there are several ranks."""
        with use_scope(self.scope):
            return wrap_model(model, self.device, wrapper_cfg=model_wrapper_cfg)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | Cfg) -> OptimWrapper:
        """Build an optimizer wrapper for the model from its config."""
        with use_scope(self.scope):
            return build_optim_wrapper(self.model, optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Schedulers:
        """Build schedulers of the optimizer from a config or several."""
        loop = self.train_loop
        lengths = RunLengths(
            epoch_length=len(loop.dataloader),
            max_epochs=loop.max_epochs if loop.is_by_epoch else None,
            max_iters=loop.max_iters,
        )
        with use_scope(self.scope):
            return build_param_schedulers(scheduler, self.optim_wrapper, lengths=lengths)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed the generators of this process; None draws a seed that all ranks share."""
        self.seed = choose_seed() if seed is None else int(seed)
        self.diff_rank_seed = diff_rank_seed
        self.deterministic = deterministic
        rank = distributed.get_rank() if diff_rank_seed else 0
        seed_everything(self.seed + rank, deterministic=deterministic)

    def register_custom_hooks(self, hooks: Sequence[Hook | Cfg]) -> None:
        """Add several hooks."""
        for hook in hooks:
            self.register_hook(hook)

    def get_hooks_info(self) -> str:
        """Return the hooks as text, a line each, in their order."""
        return "\n".join(f"({get_priority(each.priority):>3}) {type(each).__name__}" for each in self.hooks)
