"""The parts of a Runner, each built at its first use, and what the Runner says about itself, in MMEngine's names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import nn

from mimctl.engine.evaluation import Evaluator
from mimctl.engine.optim import OptimWrapper
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.parallel import bare_model
from mimctl.engine.reporting.log_processor import LogProcessor
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.engine.running.builders import RunnerBuilders
from mimctl.engine.schedule.build import Schedulers

if TYPE_CHECKING:
    from mimctl.engine.running.loops import TrainLoop


class RunnerParts(RunnerBuilders):
    """The half of a Runner that holds its parts."""

    mode: str | None

    # Parts

    @cached_property
    def model(self) -> nn.Module:
        """Return the model on its device, wrapped where there are several ranks."""
        return self.build_model(self._parts["model"])

    @property
    def bare_model(self) -> nn.Module:
        """Return the model without a wrapper."""
        return bare_model(self.model)

    @cached_property
    def optim_wrapper(self) -> OptimWrapper:
        """Return the optimizer wrapper, its learning rate scaled by `auto_scale_lr`."""
        wrapper = self.build_optim_wrapper(self._needed("optim_wrapper", "train"))
        self.scale_lr(wrapper, self._parts["auto_scale_lr"])
        return wrapper

    @cached_property
    def param_schedulers(self) -> Schedulers:
        """Return the schedulers."""
        return self.build_param_scheduler(self._parts["param_scheduler"])

    @cached_property
    def train_loop(self) -> TrainLoop:
        """Return the training loop."""
        return self.build_train_loop(self._needed("train_cfg", "train"))

    @cached_property
    def val_loop(self) -> Any:
        """Return the validation loop."""
        return self.build_val_loop(self._parts["val_cfg"])

    @cached_property
    def test_loop(self) -> Any:
        """Return the test loop."""
        return self.build_test_loop(self._parts["test_cfg"])

    @cached_property
    def visualizer(self) -> Visualizer:
        """Return the visualizer."""
        return self.build_visualizer(self._parts["visualizer"])

    @cached_property
    def log_processor(self) -> LogProcessor:
        """Return what writes log lines."""
        return self.build_log_processor(self._parts["log_processor"] or {})

    @property
    def train_dataloader(self) -> Any:
        """Return the training dataloader."""
        return self.train_loop.dataloader

    @property
    def val_dataloader(self) -> Any:
        """Return the validation dataloader."""
        return self.val_loop.dataloader

    @property
    def test_dataloader(self) -> Any:
        """Return the test dataloader."""
        return self.test_loop.dataloader

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

    # How far the run is

    @property
    def is_training(self) -> bool:
        """Return whether the run is a training (its validations included)."""
        return self.mode == "train"

    @property
    def has_trained(self) -> bool:
        """Return whether there is a training loop, running or finished."""
        return "train_loop" in self.__dict__

    @property
    def has_validation(self) -> bool:
        """Return whether the config describes a validation."""
        return self._parts["val_dataloader"] is not None and self._parts["val_evaluator"] is not None

    @property
    def is_by_epoch(self) -> bool:
        """Return whether the training counts epochs (true without one)."""
        return not self.has_trained or self.train_loop.is_by_epoch

    @property
    def epoch(self) -> int:
        """Return the number of finished epochs."""
        return self.train_loop.epoch if self.has_trained else 0

    @property
    def iter(self) -> int:
        """Return the number of finished iterations."""
        loop = self.__dict__.get("train_loop")  # asked for some times in each iteration
        return loop.iter if loop is not None else 0

    @property
    def max_epochs(self) -> int:
        """Return the number of epochs of the training, 1 for iteration-based ones and without one."""
        return self.train_loop.max_epochs if self.has_trained else 1

    @property
    def max_iters(self) -> int:
        """Return the number of iterations of the training, 1 without one."""
        return self.train_loop.max_iters if self.has_trained else 1

    @property
    def val_interval(self) -> int:
        """Return after how many epochs or iterations the training validates."""
        return self.train_loop.val_interval

    @property
    def val_begin(self) -> int:
        """Return the first epoch or iteration that may be validated."""
        return self.train_loop.val_begin

    # Facts

    @property
    def model_name(self) -> str:
        """Return the name of the model's class."""
        return type(self.bare_model).__name__

    @property
    def default_scope(self) -> str | None:
        """Return the toolbox whose types need no prefix in the config."""
        return self.scope

    @property
    def launcher(self) -> str:
        """Return what started the ranks: `none`, `pytorch` or `slurm`."""
        return str(self._parts["launcher"])

    @property
    def distributed(self) -> bool:
        """Return whether there are several ranks."""
        return distributed.is_distributed()

    @property
    def rank(self) -> int:
        """Return this process's rank."""
        return distributed.get_rank()

    @property
    def world_size(self) -> int:
        """Return the number of ranks."""
        return distributed.get_world_size()

    @cached_property
    def config_text(self) -> str:
        """Return the config as text that can be loaded again, "" where there is none."""
        return str(getattr(self.cfg, "pretty_text", ""))
