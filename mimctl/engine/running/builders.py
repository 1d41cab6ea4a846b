"""What a Runner builds: each part from a config, in MMEngine's names.

Loops, hooks and scripts of the field call these (`runner.build_dataloader(cfg, seed=runner.seed)`). A part that is
built already is returned as it is. Which parts a run uses is the business of `RunnerParts`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from mimctl.engine.compilation import compile_training
from mimctl.engine.data.loader import build_dataloader
from mimctl.engine.evaluation import Evaluator
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.optim import OptimWrapper, build_optim_wrapper
from mimctl.engine.optim.precision import with_precision
from mimctl.engine.optim.scale_lr import scale_lr
from mimctl.engine.process import apply_environment, check_environment
from mimctl.engine.random import choose_seed, seed_everything
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.collectives import sync_random_seed
from mimctl.engine.ranks.parallel import bare_model, build_model, wrap_model
from mimctl.engine.registry import EVALUATORS, LOG_PROCESSORS, LOOPS, METRICS, VISUALIZERS
from mimctl.engine.reporting.events import EventWriter
from mimctl.engine.reporting.log import configure_logging
from mimctl.engine.reporting.log_processor import LogProcessor
from mimctl.engine.reporting.messages import MessageHub
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.engine.running.evaluation_loops import TestLoop, ValLoop
from mimctl.engine.running.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from mimctl.engine.schedule.build import RunLengths, Schedulers, build_param_schedulers
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.running.loops import TrainLoop

Cfg = Mapping[str, Any]


class RunnerBuilders:
    """The half of a Runner that builds."""

    cfg: Any
    scope: str | None
    log_dir: Path
    device: torch.device
    events: EventWriter
    message_hub: MessageHub
    _parts: dict[str, Any]

    if TYPE_CHECKING:

        @property
        def model(self) -> nn.Module: ...
        @property
        def optim_wrapper(self) -> OptimWrapper: ...
        @property
        def train_loop(self) -> TrainLoop: ...

    def setup_env(self, env_cfg: Cfg) -> None:
        """Set up this process as `env_cfg` says, and the group of ranks where a launcher started several."""
        check_environment(env_cfg)
        apply_environment(env_cfg)
        exchange = dict(env_cfg.get("dist_cfg") or {})
        distributed.init(self._parts["launcher"], backend=exchange.get("backend"), timeout_s=exchange.get("timeout"))
        self.device = distributed.get_device()

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed the generators of this process; None draws a seed that all ranks share."""
        self.seed = choose_seed() if seed is None else int(seed)
        self.diff_rank_seed = diff_rank_seed
        self.deterministic = deterministic
        rank = distributed.get_rank() if diff_rank_seed else 0
        seed_everything(self.seed + rank, deterministic=deterministic)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> logging.Logger:
        """Return the engine's logger at this level; a run's lines go to the file in its `log_dir`, not to another."""
        return configure_logging(level=log_level, events=self.events)

    def build_message_hub(self, message_hub: Cfg | None = None) -> MessageHub:
        """Return the run's message hub, or one of its own from a config (`name`)."""
        return self.message_hub if message_hub is None else MessageHub(**message_hub)

    def build_visualizer(self, visualizer: Visualizer | Cfg | None = None) -> Visualizer:
        """Build a visualizer from its config; without one scalars go to files of the log dir alone."""
        cfg = {"vis_backends": [{"type": "LocalVisBackend"}]} if visualizer is None else visualizer
        if not isinstance(cfg, Mapping):
            return cfg
        with use_scope(self.scope):
            built: Visualizer = VISUALIZERS.build({"type": "Visualizer", **cfg}, save_dir=str(self.log_dir))
        return built

    def build_log_processor(self, log_processor: LogProcessor | Cfg) -> LogProcessor:
        """Build what writes log lines from its config."""
        if not isinstance(log_processor, Mapping):
            return log_processor
        with use_scope(self.scope):
            built: LogProcessor = LOG_PROCESSORS.build({"type": "LogProcessor", **log_processor})
        return built

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader[Any] | Cfg, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader[Any]:
        """Build a dataloader from its config; without a seed the ranks agree on a random one."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        seed = sync_random_seed() if seed is None else seed
        return build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed)

    def build_model(self, model: nn.Module | Cfg) -> nn.Module:
        """Build a model from its config and put it on the device, wrapped where there are several ranks."""
        options = self.cfg if isinstance(self.cfg, Mapping) else {}
        with use_scope(self.scope):
            built = build_model(model, self._parts["data_preprocessor"], self.device, options)
        compile_training(bare_model(built), self._option("compile"))
        return built

    def _option(self, key: str) -> Any:
        """Return a top-level value of the config that is no argument of the Runner, None where there is none."""
        return self.cfg.get(key) if isinstance(self.cfg, Mapping) else None

    def wrap_model(self, model_wrapper_cfg: Cfg | None, model: nn.Module) -> nn.Module:
        """Return a model on the device, wrapped where there are several ranks."""
        with use_scope(self.scope):
            return wrap_model(model, self.device, wrapper_cfg=model_wrapper_cfg)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | Cfg) -> OptimWrapper:
        """Build an optimizer wrapper for the model from its config."""
        with use_scope(self.scope):
            return build_optim_wrapper(self.model, with_precision(optim_wrapper, self._option("precision")))

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Cfg | None = None) -> None:
        """Scale the learning rate to the samples of one step (the linear rule), before schedulers are built."""
        batch_size = getattr(self.train_loop.dataloader.batch_sampler, "batch_size", 1)
        scale_lr(optim_wrapper, auto_scale_lr, batch_size * distributed.get_world_size())

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

    def build_train_loop(self, loop: Any) -> TrainLoop:
        """Build a training loop from `train_cfg`; without `type` the keys tell whether it counts epochs."""
        if not isinstance(loop, Mapping):
            given: TrainLoop = loop
            return given
        cfg = dict(loop)
        by_epoch = cfg.pop("by_epoch", None)
        if "type" not in cfg:
            by_epoch = "max_epochs" in cfg if by_epoch is None else by_epoch
            cfg["type"] = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
        built: TrainLoop = self._build_loop(cfg, dataloader=self._needed("train_dataloader", "train"))
        return built

    def build_val_loop(self, loop: Any) -> Any:
        """Build a validation loop from `val_cfg`."""
        return self._build_evaluation_loop("val", loop, ValLoop)

    def build_test_loop(self, loop: Any) -> Any:
        """Build a test loop from `test_cfg`."""
        return self._build_evaluation_loop("test", loop, TestLoop)

    def _build_evaluation_loop(self, mode: str, loop: Any, default: type) -> Any:
        if loop is not None and not isinstance(loop, Mapping):
            return loop
        parts = {name: self._needed(f"{mode}_{name}", mode) for name in ("dataloader", "evaluator")}
        return self._build_loop({"type": default, **(loop or {})}, **parts)

    def _build_loop(self, cfg: dict[str, Any], **parts: Any) -> Any:
        with use_scope(self.scope):
            return LOOPS.build(cfg, runner=self, **parts)

    def _needed(self, key: str, verb: str) -> Any:
        value = self._parts[key]
        if value is None:
            raise ConfigError(f"the config has no `{key}`, which `{verb}` needs", code="missing-argument")
        return value
