"""The Runner: what a config describes, set up and run.

Its other shares stand in files of their own: `runner_builders` (parts from configs), `runner_parts` (the parts of this
run) and `runner_hooks`; the training loop stands in `loops`.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from mimctl.config.language.environment import address_errors
from mimctl.config.values import copy_value
from mimctl.engine.checkpoints.checkpoint import read_checkpoint, revised, save_checkpoint
from mimctl.engine.hooks.logger import LoggerHook
from mimctl.engine.hooks.table import HookTable
from mimctl.engine.lookup.custom_imports import import_custom_modules
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.optim import OptimWrapper
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import RUNNERS
from mimctl.engine.reporting.events import EventWriter
from mimctl.engine.reporting.log import get_logger, kept_level, logging_to
from mimctl.engine.reporting.messages import MessageHub
from mimctl.engine.reporting.visualization import use_visualizer
from mimctl.engine.running.fast_dev_run import shorten
from mimctl.engine.running.hooks import RunnerHooks
from mimctl.engine.running.rescue import saving_on_failure
from mimctl.engine.running.state import collect_state, load_or_resume, load_weights, restore_state
from mimctl.errors import ConfigError

Cfg = Mapping[str, Any]


@RUNNERS.register_module()
class Runner(RunnerHooks):
    """Train, validate and test what a config describes.

    The arguments are the top-level keys of a config. Parts are built at their first use: `model`, `optim_wrapper`,
    `param_schedulers`, `train_loop`, `val_loop`, `test_loop`, `visualizer`; each of them works without a Runner.
    A part that is already built may be given in place of its config. `fast_dev_run` tries the whole out on one batch of
    each dataloader, or on so many, in a work dir that is thrown away.
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
        fast_dev_run: bool | int = False,
        log_dir: Path | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "cfg", "log_dir")}
        self.cfg: Any = cfg if cfg is not None else given
        self._parts = {name: copy_value(value) for name, value in given.items()}
        self.scope = default_scope
        self.load_from = load_from
        if fast_dev_run:
            shorten(self._parts, int(fast_dev_run))
            # Removed when this object is.
            self._trial_dir = tempfile.TemporaryDirectory(prefix="fast_dev_run_")
            work_dir = self._trial_dir.name
        self.is_resuming = bool(self._parts["resume"])
        self.mode: str | None = None
        self.is_validating = False
        self._is_loaded = False

        self.events, self.logger = EventWriter(None), get_logger()
        self.setup_env(dict(env_cfg or {}))
        self.set_randomness(**{"seed": None, **(randomness or {})})
        self.work_dir = Path(work_dir).expanduser().resolve()
        self.timestamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(distributed.broadcast_int(int(time.time()))))
        self.log_dir = self.work_dir / self.timestamp
        if log_dir is not None:
            self.log_dir, self.timestamp = log_dir, log_dir.name
        self.experiment_name = experiment_name or _experiment_name(cfg, self.timestamp)
        self._log_level = log_level
        self.message_hub = MessageHub()
        self.hook_table = HookTable()
        self.register_hooks(default_hooks, custom_hooks)

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
            self.load_or_resume()
            self.optim_wrapper.initialize_count_status(self.model, loop.iter, loop.max_iters)
            with saving_on_failure(self):
                model = loop.run()
            self.call_hook("after_run")
        return model

    def val(self) -> dict[str, float]:
        """Validate once and return the metrics."""
        return self._evaluate("val")

    def test(self) -> dict[str, float]:
        """Test once and return the metrics."""
        return self._evaluate("test")

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

    def load_or_resume(self) -> None:
        """Give the model its initial weights, those of `load_from` or those of the run to resume; once."""
        self._load(initialize=True)

    def dump_config(self) -> None:
        """Write the config to the work dir, by its file's name or the time."""
        if self.config_text and distributed.is_main_process():
            name = Path(getattr(self.cfg, "filename", None) or f"{self.timestamp}.py").name
            self.work_dir.mkdir(parents=True, exist_ok=True)
            self.cfg.dump(self.work_dir / name)

    @contextlib.contextmanager
    def _running(self, mode: str) -> Iterator[None]:
        self.mode = mode
        intervals = [int(getattr(hook, "interval", 0)) for hook in self.hooks if isinstance(hook, LoggerHook)]
        self.message_hub.window = max([self.log_processor.window_size, *intervals])
        log_file = self.log_dir / f"{self.timestamp}.log"
        with kept_level(), self.message_hub.in_use(), logging_to(log_file), use_visualizer(lambda: self.visualizer):
            self.build_logger(self._log_level)
            facts = f"seed {self.seed}, {self.device}, {self.world_size} process(es), torch {torch.__version__}"
            get_logger().info("%s: %s\nhooks:\n%s", mode, facts, self.get_hooks_info())
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

    def _load(self, *, initialize: bool) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            resume = self._parts["resume"]
            load_or_resume(self, resume=resume, load_from=self.load_from, initialize=initialize)


def _experiment_name(cfg: Any, timestamp: str) -> str:
    filename = getattr(cfg, "filename", None)
    return f"{Path(filename).stem}_{timestamp}" if filename else timestamp
