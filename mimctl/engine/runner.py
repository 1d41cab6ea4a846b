"""The Runner: builds the parts of an experiment from its config when they are needed, and runs its loops."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from mimctl.config.language.environment import address_errors
from mimctl.config.values import copy_value
from mimctl.engine import distributed
from mimctl.engine.checkpoint import read_checkpoint, revised, save_checkpoint
from mimctl.engine.custom_imports import import_custom_modules
from mimctl.engine.events import EventWriter
from mimctl.engine.hooks.build import build_hooks
from mimctl.engine.hooks.hook import Hook, acts_at, get_priority
from mimctl.engine.hooks.logger import LoggerHook
from mimctl.engine.log import configure_logging, get_logger, logging_to
from mimctl.engine.log_processor import LogProcessor
from mimctl.engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, TrainLoop, ValLoop
from mimctl.engine.messages import MessageHub
from mimctl.engine.optim import OptimWrapper
from mimctl.engine.optim.scale_lr import scale_lr
from mimctl.engine.parallel import bare_model
from mimctl.engine.process import apply_environment, check_environment
from mimctl.engine.registry import LOG_PROCESSORS, LOOPS, RUNNERS, VISUALIZERS
from mimctl.engine.runner_parts import RunnerParts
from mimctl.engine.schedule.build import Schedulers
from mimctl.engine.scopes import use_scope
from mimctl.engine.state import collect_state, load_or_resume, load_weights, restore_state
from mimctl.engine.visualization import Visualizer, use_visualizer
from mimctl.errors import ConfigError

Cfg = Mapping[str, Any]

_DONE = {"after_train_epoch": "epoch_is_done", "after_train_iter": "iter_is_done"}


@RUNNERS.register_module()
class Runner(RunnerParts):
    """Train, validate and test what a config describes.

    The arguments are the top-level keys of a config. Parts are built at their first use: `model`, `optim_wrapper`,
    `param_schedulers`, `train_loop`, `val_loop`, `test_loop`, `visualizer`; each of them works without a Runner.
    A part that is already built may be given in place of its config.
    """

    def __init__(
        self,
        model: nn.Module | Cfg,
        work_dir: str | Path,
        train_dataloader: Any = None,
        val_dataloader: Any = None,
        test_dataloader: Any = None,
        train_cfg: Cfg | None = None,
        val_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        auto_scale_lr: Cfg | None = None,
        optim_wrapper: OptimWrapper | Cfg | None = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: Cfg | None = None,
        custom_hooks: Sequence[Any] | None = None,
        data_preprocessor: Any = None,
        load_from: str | None = None,
        resume: bool | str = False,
        launcher: str = "none",
        env_cfg: Cfg | None = None,
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str | None = None,
        randomness: Cfg | None = None,
        experiment_name: str | None = None,
        cfg: Any = None,
        *,
        log_dir: Path | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "cfg", "log_dir")}
        self.cfg: Any = cfg if cfg is not None else given
        self._parts = {name: copy_value(value) for name, value in given.items()}
        self.scope = default_scope
        self.load_from = load_from
        self.is_resuming = bool(resume)
        self.mode: str | None = None
        self.is_validating = False
        self._hook_table: dict[str, list[Any]] = {}
        self._is_loaded = False

        environment = dict(env_cfg or {})
        check_environment(environment)
        apply_environment(environment)
        distributed.init(launcher, backend=dict(environment.get("dist_cfg") or {}).get("backend"))
        self.device = distributed.get_device()
        self.set_randomness(**{"seed": None, **(randomness or {})})

        self.work_dir = Path(work_dir).expanduser().resolve()
        self.timestamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(distributed.broadcast_int(int(time.time()))))
        self.log_dir = self.work_dir / self.timestamp
        if log_dir is not None:
            self.log_dir, self.timestamp = log_dir, log_dir.name
        self.experiment_name = experiment_name or _experiment_name(cfg, self.timestamp)
        self.events, self.logger = EventWriter(None), get_logger()
        self._log_level = log_level
        self.message_hub = MessageHub()
        self.hooks: list[Hook] = []
        with use_scope(self.scope), use_visualizer(lambda: self.visualizer):
            for hook in build_hooks(default_hooks, custom_hooks):
                self.register_hook(hook)

    @classmethod
    def from_cfg(cls, cfg: Any, *, log_dir: Path | None = None) -> Self:
        """Build a Runner from a config, whose other top-level keys are left alone.

        Modules that it names in `custom_imports` are imported, for that is what the key is there for.
        Its log and scalars go to `log_dir`, by default a folder of the work dir that is named after the time.
        """
        keys = Runner.__init__.__annotations__.keys() - {"return", "cfg", "log_dir"}
        if "model" not in cfg:
            raise ConfigError("the config has no `model`", code="missing-argument")
        for error in address_errors(cfg):
            raise error
        import_custom_modules(cfg)
        arguments = {key: cfg[key] for key in keys if key in cfg}
        stem = Path(getattr(cfg, "filename", None) or "run").stem
        arguments["work_dir"] = arguments.get("work_dir") or Path("work_dirs", stem)
        return cls(**arguments, cfg=cfg) if log_dir is None else cls(**arguments, cfg=cfg, log_dir=log_dir)

    from_config = from_cfg

    def train(self) -> nn.Module:
        """Train to the end and return the model."""
        with self._running("train"), use_scope(self.scope):
            loop = self.train_loop
            # What the config gets wrong shows before the first iteration, not after the first epoch.
            _ = self.param_schedulers, self.visualizer, self.val_loop if self.has_validation else None
            self.call_hook("before_run")
            self._load()
            self.optim_wrapper.initialize_count_status(self.model, loop.iter, loop.max_iters)
            model = loop.run()
            self.call_hook("after_run")
        return model

    def val(self) -> dict[str, float]:
        """Validate once and return the metrics."""
        return self._evaluate("val")

    def test(self) -> dict[str, float]:
        """Test once and return the metrics."""
        return self._evaluate("test")

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call one point of every hook that acts there, in order of priority."""
        calls = self._hook_table.get(fn_name)
        if calls is None:
            calls = [getattr(hook, fn_name) for hook in self.hooks if acts_at(hook, fn_name)]
            self._hook_table[fn_name] = calls
        done = _DONE.get(fn_name)
        if done is None:
            for call in calls:
                call(self, **kwargs)
            return
        # Inside these hooks an iteration or epoch is done, but not counted yet: what is saved there counts it.
        setattr(self.train_loop, done, True)
        try:
            for call in calls:
                call(self, **kwargs)
        finally:
            setattr(self.train_loop, done, False)

    def register_hook(self, hook: Hook | Cfg, priority: int | str | None = None) -> None:
        """Add a hook behind those of the same or a lower priority number."""
        with use_scope(self.scope), use_visualizer(lambda: self.visualizer):
            built = build_hooks({}, [hook])[0]
        if priority is not None:
            built.priority = priority
        rank = get_priority(built.priority)
        place = next((at for at, each in enumerate(self.hooks) if get_priority(each.priority) > rank), len(self.hooks))
        self.hooks.insert(place, built)
        self._hook_table.clear()

    # Parts, each built at its first use

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
        self._scale_lr(wrapper)
        return wrapper

    @cached_property
    def param_schedulers(self) -> Schedulers:
        """Return the schedulers."""
        return self.build_param_scheduler(self._parts["param_scheduler"])

    @cached_property
    def train_loop(self) -> TrainLoop:
        """Return the training loop."""
        cfg = dict(self._needed("train_cfg", "train"))
        by_epoch = cfg.pop("by_epoch", None)
        if "type" not in cfg:
            by_epoch = "max_epochs" in cfg if by_epoch is None else by_epoch
            cfg["type"] = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
        loop: TrainLoop = self._build_loop(cfg, dataloader=self._needed("train_dataloader", "train"))
        return loop

    @cached_property
    def val_loop(self) -> Any:
        """Return the validation loop."""
        return self._evaluation_loop("val", ValLoop)

    @cached_property
    def test_loop(self) -> Any:
        """Return the test loop."""
        return self._evaluation_loop("test", TestLoop)

    @cached_property
    def visualizer(self) -> Visualizer:
        """Return the visualizer; without one in the config scalars go to the log dir alone."""
        cfg = self._parts["visualizer"]
        if cfg is None:
            cfg = {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
        with use_scope(self.scope):
            built: Visualizer = VISUALIZERS.build(cfg, save_dir=str(self.log_dir))
        return built

    @cached_property
    def log_processor(self) -> LogProcessor:
        """Return what writes log lines."""
        cfg = self._parts["log_processor"] or {}
        built: LogProcessor = LOG_PROCESSORS.build({"type": "LogProcessor", **cfg} if isinstance(cfg, Mapping) else cfg)
        return built

    @cached_property
    def config_text(self) -> str:
        """Return the config as text that can be loaded again, "" where there is none."""
        return str(getattr(self.cfg, "pretty_text", ""))

    @property
    def has_validation(self) -> bool:
        """Return whether the config describes a validation."""
        return self._parts["val_dataloader"] is not None and self._parts["val_evaluator"] is not None

    @property
    def is_training(self) -> bool:
        """Return whether the run is a training (its validations included)."""
        return self.mode == "train"

    @property
    def has_trained(self) -> bool:
        """Return whether there is a training loop, running or finished."""
        return "train_loop" in self.__dict__

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
        return self.train_loop.iter if self.has_trained else 0

    @property
    def max_epochs(self) -> int:
        """Return the number of epochs of the training, 1 for iteration-based ones and without one."""
        return self.train_loop.max_epochs if self.has_trained else 1

    @property
    def max_iters(self) -> int:
        """Return the number of iterations of the training, 1 without one."""
        return self.train_loop.max_iters if self.has_trained else 1

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
    def rank(self) -> int:
        """Return this process's rank."""
        return distributed.get_rank()

    @property
    def world_size(self) -> int:
        """Return the number of ranks."""
        return distributed.get_world_size()

    # Checkpoints

    def save_checkpoint(self, out_dir: str | Path, filename: str, **options: Any) -> Path:
        """Save the state of this moment (every rank must call it) and return the path."""
        checkpoint = collect_state(self, **options)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        path = Path(out_dir) / filename
        if distributed.is_main_process():
            save_checkpoint(checkpoint, path)
            self.events.emit("checkpoint", path=str(path))
        distributed.barrier()
        return path

    def load_checkpoint(
        self,
        filename: str | Path,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> dict[str, Any]:
        """Load weights into the model and return the checkpoint.

        `revise_keys` are (regular expression, replacement) for the keys of its weights.
        """
        checkpoint = read_checkpoint(filename, map_location)
        checkpoint["state_dict"] = revised(checkpoint["state_dict"], revise_keys)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        load_weights(self, checkpoint, strict=strict)
        return checkpoint

    def resume(
        self,
        filename: str | Path,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "cpu",
    ) -> None:
        """Go on where a checkpoint was saved; optimizer and schedulers may start anew."""
        self.is_resuming = True
        checkpoint = self.load_checkpoint(filename, map_location, strict=True)
        if not resume_optimizer:
            checkpoint.pop("optimizer", None)
        if not resume_param_scheduler:
            checkpoint.pop("param_schedulers", None)
        restore_state(self, checkpoint)
        get_logger().info("resumed from %s: epoch %d, iteration %d", filename, self.epoch, self.iter)

    @contextlib.contextmanager
    def _running(self, mode: str) -> Iterator[None]:
        self.mode = mode
        self.message_hub.make_current()
        intervals = [int(getattr(hook, "interval", 0)) for hook in self.hooks if isinstance(hook, LoggerHook)]
        self.message_hub.window = max([self.log_processor.window_size, *intervals])
        configure_logging(level=self._log_level, events=self.events)
        with logging_to(self.log_dir / f"{self.timestamp}.log"), use_visualizer(lambda: self.visualizer):
            get_logger().info(
                "%s: seed %d, %s, %d process(es), torch %s",
                mode,
                self.seed,
                self.device,
                self.world_size,
                torch.__version__,
            )
            if mode == "train":
                self.visualizer.add_config(self.cfg)
            try:
                yield
            finally:
                for name in {"train_loop", "val_loop", "test_loop"} & set(self.__dict__):
                    getattr(self, name).stop()
                self.visualizer.close()

    def _evaluate(self, mode: str) -> dict[str, float]:
        with self._running(mode), use_scope(self.scope):
            loop = self.val_loop if mode == "val" else self.test_loop
            self.call_hook("before_run")
            self._load(initialize=False)
            metrics: dict[str, float] = loop.run()
            self.call_hook("after_run")
        return metrics

    def _load(self, *, initialize: bool = True) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            resume = self._parts["resume"]
            load_or_resume(self, resume=resume, load_from=self.load_from, initialize=initialize)

    def _needed(self, key: str, verb: str) -> Any:
        value = self._parts[key]
        if value is None:
            raise ConfigError(f"the config has no `{key}`, which `{verb}` needs", code="missing-argument")
        return value

    def _build_loop(self, cfg: dict[str, Any], **parts: Any) -> Any:
        with use_scope(self.scope):
            return LOOPS.build(cfg, runner=self, **parts)

    def _evaluation_loop(self, mode: str, default: type) -> Any:
        cfg = {"type": default, **dict(self._parts[f"{mode}_cfg"] or {})}
        parts = {name: self._needed(f"{mode}_{name}", mode) for name in ("dataloader", "evaluator")}
        return self._build_loop(cfg, **parts)

    def _scale_lr(self, wrapper: OptimWrapper) -> None:
        batch_size = getattr(self.train_loop.dataloader.batch_sampler, "batch_size", 1)
        accumulated = getattr(wrapper, "_accumulative_counts", 1)
        scale_lr(wrapper, self._parts["auto_scale_lr"], batch_size * self.world_size * accumulated)


def _experiment_name(cfg: Any, timestamp: str) -> str:
    filename = getattr(cfg, "filename", None)
    return f"{Path(filename).stem}_{timestamp}" if filename else timestamp
